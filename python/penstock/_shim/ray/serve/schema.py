"""Ray Serve's name for ``penstock.serve.schema``."""

from penstock.serve.schema import *  # noqa: F403
from penstock.serve.schema import __all__ as __all__
