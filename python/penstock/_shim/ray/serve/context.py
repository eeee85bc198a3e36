"""Ray Serve's name for ``penstock.serve.context``."""

from penstock.serve.context import *  # noqa: F403
from penstock.serve.context import __all__ as __all__
