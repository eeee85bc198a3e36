"""What a request router sees: replicas, and requests that wait for one."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass, field
from typing import Any, Optional

from penstock import _core, _wire
from penstock.serve.context import DeploymentID, ReplicaID

__all__ = [
    "PendingRequest",
    "ReplicaResult",
    "RequestMetadata",
    "RequestRoutingContext",
    "RunningReplica",
    "StreamingHTTPRequest",
]

# First element of _core.Request.context()
_CALL = 2


class RunningReplica:
    """A replica that takes requests, as last heard."""

    availability_zone: Optional[str] = None  # an instance is one host
    backend_http_endpoint: Optional[str] = None  # replicas have no ports
    is_cross_language = False

    def __init__(self, replica_id: ReplicaID, node_id: str) -> None:
        self.replica_id = replica_id
        self.node_id = node_id
        self.max_ongoing_requests = 1
        #: Models that are loaded there, or being loaded.
        self.multiplexed_model_ids: set[str] = set()
        #: What ``record_routing_stats`` of the replica returned last.
        self.routing_stats: dict[str, Any] = {}
        #: What its ``record_replica_metadata`` returned at its start.
        self.replica_metadata: dict[str, Any] = {}
        self._ongoing = 0
        self._open = True
        self._alive = True

    @property
    def actor_id(self) -> str:
        """Unique id of the replica."""
        return self.replica_id.unique_id

    async def get_queue_len(self, deadline_s: float = 0) -> int:
        """Requests that it runs, as whoever asked last knows: no replica is asked."""
        return self._ongoing

    def _update(self, facts: dict[str, Any], max_ongoing_requests: int) -> None:
        self.max_ongoing_requests = max_ongoing_requests
        self.multiplexed_model_ids = set(facts["models"])
        told = json.loads(facts["stats"]) if facts["stats"] else {}
        self.routing_stats = told.get("routing_stats", {})
        self.replica_metadata = told.get("replica_metadata", {})
        self._alive = facts["alive"]

    def __repr__(self) -> str:
        return f"RunningReplica({self.replica_id})"


@dataclass(frozen=True)
class RequestMetadata:
    """What a request says of itself."""

    request_id: str
    internal_request_id: str
    call_method: str = "__call__"
    route: str = ""
    app_name: str = ""
    multiplexed_model_id: str = ""
    session_id: str = ""
    is_streaming: bool = False
    is_http_request: bool = False


@dataclass
class RequestRoutingContext:
    """How far the search for a replica has come; the mixins keep their stages here."""

    multiplexed_start_matching_time: Optional[float] = None
    tried_fewest_multiplexed_models: bool = False
    tried_first_multiplexed_models: bool = False
    tried_same_node: bool = False
    tried_same_az: bool = False
    should_backoff: bool = False


class StreamingHTTPRequest:
    """The argument of a request that came over HTTP: its head. The body stays with the proxy."""

    def __init__(self, request: _core.Request) -> None:
        self._request = request

    @functools.cached_property
    def asgi_scope(self) -> dict[str, Any]:
        """The ASGI scope."""
        from penstock._replica.scope import make_scope

        return make_scope(self._request)


class _Frame:
    """A request as it was received; what it holds is read when somebody looks."""

    def __init__(self, frame: bytes) -> None:
        self.request = _core.Request(frame)

    @functools.cached_property
    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        if self.request.context()[0] != _CALL:
            return [StreamingHTTPRequest(self.request)], {}
        args, kwargs = _wire.load(self.request.body)
        return list(args), kwargs


@dataclass(eq=False)
class PendingRequest:
    """A request that waits for a replica."""

    metadata: RequestMetadata
    created_at: float = field(default_factory=time.time)
    routing_context: RequestRoutingContext = field(default_factory=RequestRoutingContext)
    _frame: Optional[_Frame] = None
    _given: tuple[list[Any], dict[str, Any]] = field(default_factory=lambda: ([], {}))

    @property
    def args(self) -> list[Any]:
        """Positional arguments of the call; over HTTP one StreamingHTTPRequest."""
        return (self._frame.arguments if self._frame else self._given)[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments of the call."""
        return (self._frame.arguments if self._frame else self._given)[1]

    @classmethod
    def _of(cls, frame: bytes, internal_request_id: str) -> PendingRequest:
        received = _Frame(frame)
        kind, request_id, app, route, model_id, session_id = received.request.context()
        is_http = kind != _CALL
        metadata = RequestMetadata(
            request_id=request_id,
            internal_request_id=internal_request_id,
            call_method="__call__" if is_http else received.request.method,
            route=route,
            app_name=app,
            multiplexed_model_id=model_id,
            session_id=session_id,
            is_streaming=is_http or received.request.wants_stream,
            is_http_request=is_http,
        )
        return cls(metadata, _frame=received)


@dataclass(frozen=True)
class ReplicaResult:
    """Where a request went. The result itself goes to the caller, past the router."""

    request_id: str
    replica_id: ReplicaID


def replica_of(deployment_id: DeploymentID, facts: dict[str, Any]) -> RunningReplica:
    """A replica that is heard of for the first time."""
    return RunningReplica(ReplicaID(facts["id"], deployment_id), facts["node"])
