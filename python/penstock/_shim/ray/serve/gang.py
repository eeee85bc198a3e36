"""Ray Serve's name for ``penstock.serve.gang``."""

from penstock.serve.gang import *  # noqa: F403
from penstock.serve.gang import __all__ as __all__
