"""Ray Serve's name for ``penstock.serve.grpc_util``."""

from penstock.serve.grpc_util import *  # noqa: F403
from penstock.serve.grpc_util import __all__ as __all__
