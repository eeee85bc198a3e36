"""Ray Serve's name for ``penstock.serve.autoscaling_policy``."""

from penstock.serve.autoscaling_policy import *  # noqa: F403
from penstock.serve.autoscaling_policy import __all__ as __all__
