"""Where user code is: in which replica, in which request."""

from __future__ import annotations

import contextvars
import threading
import weakref
from dataclasses import dataclass, field
from typing import Any, Optional

from penstock.serve.exceptions import RayServeException
from penstock.serve.gang import GangContext

__all__ = ["DeploymentID", "ReplicaContext", "ReplicaID", "ReplicaRank", "get_replica_context"]


@dataclass(frozen=True)
class DeploymentID:
    """A deployment inside an application."""

    name: str
    app_name: str = "default"

    def __str__(self) -> str:
        return f"Deployment(name='{self.name}', app='{self.app_name}')"


@dataclass(frozen=True)
class ReplicaID:
    """One replica."""

    unique_id: str
    deployment_id: DeploymentID

    def to_full_id_str(self) -> str:
        """``app#deployment#id``."""
        return f"{self.deployment_id.app_name}#{self.deployment_id.name}#{self.unique_id}"

    def __str__(self) -> str:
        where = self.deployment_id
        return f"Replica(id='{self.unique_id}', deployment='{where.name}', app='{where.app_name}')"


@dataclass(frozen=True)
class ReplicaRank:
    """A replica's place among those of its deployment: ``rank`` is dense from 0."""

    rank: int
    node_rank: int = 0
    local_rank: int = 0


@dataclass
class ReplicaContext:
    """What user code may know of the replica it runs in."""

    replica_id: ReplicaID
    servable_object: Any
    rank: ReplicaRank
    world_size: int
    gang_context: Optional[GangContext] = None
    code_version: Optional[str] = None
    # Beyond Ray Serve: the assignment as a fact.
    assigned_resources: dict[str, float] = field(default_factory=dict)
    device_ids: dict[str, list[str]] = field(default_factory=dict)
    node_id: str = ""
    runtime_env: dict[str, Any] = field(default_factory=dict)
    max_ongoing_requests: Optional[int] = None

    @property
    def app_name(self) -> str:
        """Name of the application."""
        return self.replica_id.deployment_id.app_name

    @property
    def deployment(self) -> str:
        """Name of the deployment."""
        return self.replica_id.deployment_id.name

    @property
    def replica_tag(self) -> str:
        """Unique id of the replica."""
        return self.replica_id.unique_id


_replica: Optional[ReplicaContext] = None


def set_replica_context(context: Optional[ReplicaContext]) -> None:
    """Called once by the replica host."""
    global _replica
    _replica = context


# Of code in local testing mode, where deployments share a process.
local_replica: contextvars.ContextVar[Optional[ReplicaContext]] = contextvars.ContextVar(
    "penstock_local_replica", default=None
)


def current_replica() -> Optional[ReplicaContext]:
    """The context, or None outside a replica."""
    return local_replica.get() or _replica


def get_replica_context() -> ReplicaContext:
    """The context of the replica this code runs in. RayServeException elsewhere."""
    replica = current_replica()
    if replica is None:
        raise RayServeException("`serve.get_replica_context()` may only be called from within a Ray Serve deployment.")
    return replica


# Calls of one request from which on those that nobody holds any more are forgotten.
_FIRST_PRUNE = 64
_children_lock = threading.Lock()


class RequestContext:
    """The request that the current code works on; copied into tasks and threads it starts."""

    __slots__ = (
        "__weakref__",
        "_children",
        "_prune_at",
        "app_name",
        "multiplexed_model_id",
        "request_id",
        "route",
        "session_id",
    )

    def __init__(
        self,
        request_id: str = "",
        route: str = "",
        app_name: str = "",
        multiplexed_model_id: str = "",
        session_id: str = "",
    ) -> None:
        self.request_id = request_id
        self.route = route
        self.app_name = app_name
        self.multiplexed_model_id = multiplexed_model_id
        self.session_id = session_id
        self._children: list[weakref.ref[Any]] = []
        self._prune_at = _FIRST_PRUNE

    def add_child(self, call: Any) -> None:
        """Notes a call made on behalf of this request, to be cancelled with it."""
        with _children_lock:  # threads of one request share its context
            children = self._children
            children.append(weakref.ref(call))
            if len(children) > self._prune_at:
                self._children = [child for child in children if child() is not None]
                self._prune_at = max(_FIRST_PRUNE, 2 * len(self._children))

    def cancel_children(self) -> None:
        """Cancels every call that was made on behalf of this request."""
        for child in list(self._children):
            call = child()
            if call is not None:
                call.cancel_with_request()


_NO_REQUEST: Optional[RequestContext] = None
request_context: contextvars.ContextVar[Optional[RequestContext]] = contextvars.ContextVar(
    "penstock_request", default=_NO_REQUEST
)


def _get_internal_replica_context() -> Optional[ReplicaContext]:
    """Ray Serve's inner name for the replica's context; None outside a replica."""
    return current_replica()


def _get_serve_request_context() -> RequestContext:
    """Ray Serve's inner name for the request's context; an empty one outside a request."""
    return request_context.get() or RequestContext()
