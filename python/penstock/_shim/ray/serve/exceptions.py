"""Ray Serve's name for ``penstock.serve.exceptions``."""

from penstock.serve.exceptions import *  # noqa: F403
from penstock.serve.exceptions import __all__ as __all__
