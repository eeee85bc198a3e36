"""Ray Serve's name for ``penstock.serve.api``."""

from penstock.serve.api import *  # noqa: F403
from penstock.serve.api import __all__ as __all__
