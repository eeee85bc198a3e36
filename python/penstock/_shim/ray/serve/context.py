"""Ray Serve's name for ``penstock.serve.context``."""

from penstock.serve.context import *  # noqa: F403
from penstock.serve.context import __all__ as __all__
from penstock.serve.context import _get_internal_replica_context, _get_serve_request_context  # noqa: F401
