"""Ray Serve's name for ``penstock.serve.config``."""

from penstock.serve.config import *  # noqa: F403
from penstock.serve.config import __all__ as __all__
