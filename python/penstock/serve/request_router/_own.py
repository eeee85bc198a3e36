"""Serve's own routers as Python classes.

Named in ``request_router_config`` they stand for the native ones. These bodies are for classes
that derive from them.
"""

from __future__ import annotations

import random
from typing import Any, Optional

from penstock import _core
from penstock.serve.context import ReplicaID
from penstock.serve.request_router._mixins import FIFOMixin, LocalityMixin, MultiplexMixin
from penstock.serve.request_router._router import RequestRouter
from penstock.serve.request_router._types import PendingRequest, RunningReplica

__all__ = ["ConsistentHashRouter", "PowerOfTwoChoicesRequestRouter", "RoundRobinRouter"]


class PowerOfTwoChoicesRequestRouter(FIFOMixin, LocalityMixin, MultiplexMixin, RequestRouter):
    """Of two replicas at random the one with fewer requests: the default."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """One group of at most two, drawn among those that suit the request's model and node."""
        suiting: set[ReplicaID]
        if pending_request is not None and pending_request.metadata.multiplexed_model_id:
            suiting = self.apply_multiplex_routing(pending_request)
        else:
            suiting = self.apply_locality_routing(pending_request)
        candidates = [replica for replica in candidate_replicas if replica.replica_id in suiting]
        return [random.sample(candidates, min(2, len(candidates)))]


class RoundRobinRouter(FIFOMixin, MultiplexMixin, RequestRouter):
    """One replica after the other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn = 0

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """A group for each, beginning with whose turn it is; for a model among those that suit."""
        candidates = candidate_replicas
        if pending_request is not None and pending_request.metadata.multiplexed_model_id:
            suiting = self.apply_multiplex_routing(pending_request)
            candidates = [replica for replica in candidates if replica.replica_id in suiting]
        if not candidates:
            return []
        first = self._turn % len(candidates)
        self._turn += 1
        return [[replica] for replica in candidates[first:] + candidates[:first]]


class ConsistentHashRouter(RequestRouter):
    """The same session to the same replica, as long as that is there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._num_virtual_nodes = 100
        self._num_fallback_replicas = 2
        self._ring: tuple[list[str], _core.HashRing] = ([], _core.HashRing([], 1))

    def initialize_state(self, num_virtual_nodes: int = 100, num_fallback_replicas: int = 2, **kwargs: Any) -> None:
        """Points of each replica on the ring, and how many are tried after the first."""
        self._num_virtual_nodes = num_virtual_nodes
        self._num_fallback_replicas = num_fallback_replicas

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Optional[PendingRequest] = None
    ) -> list[list[RunningReplica]]:
        """A group for each, clockwise from the session's place; without one from the request's."""
        names = [replica.replica_id.unique_id for replica in candidate_replicas]
        if names != self._ring[0]:
            self._ring = (names, _core.HashRing(names, self._num_virtual_nodes))
        key = str(random.random())
        if pending_request is not None:
            key = pending_request.metadata.session_id or pending_request.metadata.internal_request_id
        places = self._ring[1].clockwise(key, 1 + self._num_fallback_replicas)
        return [[candidate_replicas[place]] for place in places]
