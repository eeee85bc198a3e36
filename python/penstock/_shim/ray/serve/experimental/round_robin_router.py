"""Ray Serve's name for ``penstock.serve.request_router``."""

from penstock.serve.request_router import *  # noqa: F403
from penstock.serve.request_router import __all__ as __all__
