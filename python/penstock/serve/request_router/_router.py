"""The base of request routers written in Python."""

# ruff: noqa: B027 - hooks are there to be overridden, or not

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Optional

from penstock.serve.context import DeploymentID, ReplicaID
from penstock.serve.request_router._types import PendingRequest, ReplicaResult, RunningReplica

__all__ = ["Caller", "RequestRouter", "asking"]


@dataclass(frozen=True)
class Caller:
    """Who wants a request routed."""

    node_id: str = ""
    prefers_its_node: bool = False


# Around each call of choose_replicas.
asking: ContextVar[Caller] = ContextVar("penstock_asking_router", default=Caller())  # noqa: B039 - frozen


class RequestRouter(ABC):
    """Chooses among the replicas of one deployment. Derive, and implement ``choose_replicas``.

    One object serves all callers of the deployment, in a process of its own. A replica that turns
    out to be full refuses; the request then goes to the next one of the same answer.
    """

    def __init__(self, deployment_id: DeploymentID, *args: Any, **kwargs: Any) -> None:
        self._deployment_id = deployment_id
        self._replicas: dict[ReplicaID, RunningReplica] = {}
        self._num_pending = 0

    def initialize_state(self, **kwargs: Any) -> None:
        """Called once with ``request_router_kwargs``, before anything else."""

    @abstractmethod
    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """Groups of replicas, the best group first; of a group the one with the fewest requests is taken.

        Asked again, at once and then after a growing back-off, while nobody named has room.
        """

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult) -> None:
        """A request was sent to a replica, which may still refuse it."""

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """A request that was sent to a replica is over, however it ended."""

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """A replica that could not be reached is gone for good."""

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """A replica cannot be reached, for the time being."""

    def update_replicas(self, running_replicas: list[RunningReplica]) -> None:
        """These are the replicas now. Whoever overrides this calls ``super()``."""
        self._replicas = {replica.replica_id: replica for replica in running_replicas}

    @property
    def curr_replicas(self) -> dict[ReplicaID, RunningReplica]:
        """The replicas, by id."""
        return self._replicas

    @property
    def deployment_id(self) -> DeploymentID:
        """Whose requests it routes."""
        return self._deployment_id

    @property
    def num_pending_requests(self) -> int:
        """Requests that are waiting for an answer of ``choose_replicas``."""
        return self._num_pending

    def select_available_replicas(self, candidates: Optional[Iterable[RunningReplica]] = None) -> list[RunningReplica]:
        """Those of ``candidates`` (of all replicas without it) that have room, as far as is known."""
        chosen = self._replicas.values() if candidates is None else candidates
        return [replica for replica in chosen if replica._open]
