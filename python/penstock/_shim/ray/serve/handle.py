"""Ray Serve's name for ``penstock.serve.handle``."""

from penstock.serve.handle import *  # noqa: F403
from penstock.serve.handle import __all__ as __all__
