"""Ray Serve's default autoscaling policy, to be called by policies of one's own."""

from __future__ import annotations

from typing import Any, Union

from penstock import _core
from penstock.serve.config import AutoscalingContext, to_json

__all__ = ["default_autoscaling_policy", "replica_queue_length_autoscaling_policy"]


def replica_queue_length_autoscaling_policy(ctx: AutoscalingContext) -> tuple[Union[int, float], dict[str, Any]]:
    """As many replicas as have ``target_ongoing_requests`` each, before gains, delays and bounds.

    From none, as many as the gain says at once, or what is wanted already. The formula is the native one.
    """
    wanted = _core.wanted_replicas(
        to_json(ctx.config), ctx.current_num_replicas, ctx.target_num_replicas, ctx.total_num_requests
    )
    if ctx.current_num_replicas == 0 and ctx.total_num_requests > 0:
        return int(wanted), ctx.policy_state
    return wanted, {}


default_autoscaling_policy = replica_queue_length_autoscaling_policy
