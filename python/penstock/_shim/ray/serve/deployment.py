"""Ray Serve's name for ``penstock.serve.deployment``."""

from penstock.serve.deployment import *  # noqa: F403
from penstock.serve.deployment import __all__ as __all__
