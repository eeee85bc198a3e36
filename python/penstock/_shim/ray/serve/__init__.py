"""Ray Serve's name for ``penstock.serve``."""

from penstock.serve import *  # noqa: F403
from penstock.serve import __all__ as __all__
from penstock.serve import _run, _run_many  # noqa: F401
