"""Ray Serve's name for ``penstock.serve.metrics``."""

from penstock.serve.metrics import *  # noqa: F403
from penstock.serve.metrics import __all__ as __all__
