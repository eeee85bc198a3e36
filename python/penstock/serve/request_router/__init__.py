"""Request routers: which replica a request goes to.

Serve's own routers run in native code, in every process that sends requests. A class of one's own
derives from ``RequestRouter`` and runs in one process per deployment, which all the others ask.
"""

from penstock.serve.context import ReplicaID
from penstock.serve.request_router._mixins import FIFOMixin, LocalityMixin, MultiplexMixin
from penstock.serve.request_router._own import (
    ConsistentHashRouter,
    PowerOfTwoChoicesRequestRouter,
    RoundRobinRouter,
)
from penstock.serve.request_router._router import RequestRouter
from penstock.serve.request_router._types import (
    PendingRequest,
    ReplicaResult,
    RequestMetadata,
    RequestRoutingContext,
    RunningReplica,
    StreamingHTTPRequest,
)

__all__ = [
    "ConsistentHashRouter",
    "FIFOMixin",
    "LocalityMixin",
    "MultiplexMixin",
    "PendingRequest",
    "PowerOfTwoChoicesRequestRouter",
    "ReplicaID",
    "ReplicaResult",
    "RequestMetadata",
    "RequestRouter",
    "RequestRoutingContext",
    "RoundRobinRouter",
    "RunningReplica",
    "StreamingHTTPRequest",
]
