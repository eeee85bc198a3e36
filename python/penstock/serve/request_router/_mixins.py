"""Parts of request routers: order of service, nearness, models."""

from __future__ import annotations

import os
import random
import time
from typing import Any, Optional

from penstock.serve.context import ReplicaID
from penstock.serve.request_router._router import RequestRouter, asking
from penstock.serve.request_router._types import PendingRequest, RunningReplica

__all__ = ["FIFOMixin", "LocalityMixin", "MultiplexMixin"]


class FIFOMixin(RequestRouter):
    """An answer serves whoever has waited longest (of those for the same model), whoever asked."""


class LocalityMixin(RequestRouter):
    """Replicas of the caller's node first."""

    def rank_replicas_via_locality(self, replicas: list[RunningReplica]) -> list[list[RunningReplica]]:
        """Three groups: on the caller's node, in its availability zone, elsewhere."""
        node = asking.get().node_id
        ranks: list[list[RunningReplica]] = [[], [], []]
        for replica in replicas:
            ranks[0 if node and replica.node_id == node else 2].append(replica)
        return ranks

    def apply_locality_routing(self, pending_request: Optional[PendingRequest] = None) -> set[ReplicaID]:
        """Candidates for this attempt: first those on the caller's node, if it prefers them, then all.

        Between the stages nobody waits.
        """
        caller = asking.get()
        everybody = set(self._replicas)
        if pending_request is None:
            return everybody
        context = pending_request.routing_context
        if caller.prefers_its_node and not context.tried_same_node:
            context.tried_same_node = True
            near = {r.replica_id for r in self._replicas.values() if r.node_id == caller.node_id}
            if near:
                context.should_backoff = False
                return near
        context.should_backoff = True
        return everybody


def _matching_timeout_s() -> float:
    """Somewhere between the set time and twice that, so that requests do not give up together."""
    base = float(os.environ.get("RAY_SERVE_MULTIPLEXED_MODEL_ID_MATCHING_TIMEOUT_S", "1"))
    return base + random.uniform(0, base)


class MultiplexMixin(RequestRouter):
    """Replicas that have the request's model first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._multiplexed_matching_timeout = _matching_timeout_s()

    def _with_model(self, model_id: str) -> set[ReplicaID]:
        return {r.replica_id for r in self._replicas.values() if model_id in r.multiplexed_model_ids}

    def _with_fewest_models(self) -> set[ReplicaID]:
        fewest = min((len(r.multiplexed_model_ids) for r in self._replicas.values()), default=0)
        return {r.replica_id for r in self._replicas.values() if len(r.multiplexed_model_ids) == fewest}

    def rank_replicas_via_multiplex(
        self, replicas: list[RunningReplica], multiplexed_model_id: str
    ) -> list[list[RunningReplica]]:
        """Three groups: with the model, with the fewest models of the rest, the others."""
        have = [r for r in replicas if multiplexed_model_id in r.multiplexed_model_ids]
        rest = [r for r in replicas if multiplexed_model_id not in r.multiplexed_model_ids]
        fewest = min((len(r.multiplexed_model_ids) for r in rest), default=0)
        return [
            have,
            [r for r in rest if len(r.multiplexed_model_ids) == fewest],
            [r for r in rest if len(r.multiplexed_model_ids) > fewest],
        ]

    def apply_multiplex_routing(self, pending_request: PendingRequest) -> set[ReplicaID]:
        """Candidates for this attempt: for a while those with the model, else with the fewest; then all."""
        context = pending_request.routing_context
        now = time.monotonic()
        if context.multiplexed_start_matching_time is None:
            context.multiplexed_start_matching_time = now
        model_id = pending_request.metadata.multiplexed_model_id
        if now - context.multiplexed_start_matching_time < self._multiplexed_matching_timeout:
            have = self._with_model(model_id)
            context.should_backoff = bool(have)
            if have:
                return have
            if not context.tried_first_multiplexed_models:
                context.tried_first_multiplexed_models = True
                return self._with_fewest_models()
        elif not context.tried_fewest_multiplexed_models:
            context.tried_fewest_multiplexed_models = True
            context.should_backoff = False
            return self._with_fewest_models()
        context.should_backoff = True
        return set(self._replicas)
