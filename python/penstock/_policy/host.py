"""Between the controller's questions and the user's autoscaling policy."""

from __future__ import annotations

import inspect
import json
import logging
import time
from typing import Any, Callable, Optional

from penstock import _core, _process
from penstock._code_host import load, traceback_of
from penstock._policy.metrics import ReplicaMetrics
from penstock.serve.config import AutoscalingConfig, AutoscalingContext
from penstock.serve.context import DeploymentID, ReplicaID

__all__ = ["PolicyCode"]

logger = logging.getLogger("ray.serve")


def _load(assignment: dict[str, Any]) -> Callable[[AutoscalingContext], Any]:
    policy = load(assignment, "policy_function")
    made = policy(**assignment["kwargs"]) if inspect.isclass(policy) else policy
    if not callable(made):
        raise TypeError(f"an autoscaling policy must be callable, got {made!r}.")
    return made  # type: ignore[no-any-return]


def _ago(seconds: Optional[float], now: float) -> Optional[float]:
    return None if seconds is None else now - seconds


def _number(told: Any) -> tuple[float, dict[str, Any]]:
    """What a policy returned: a number, and its state for the next time. TypeError for anything else."""
    count, state = told if isinstance(told, tuple) and len(told) == 2 else (told, {})
    if isinstance(count, bool) or not isinstance(count, (int, float)):
        raise TypeError(f"an autoscaling policy must return (replicas, state), got {told!r}.")
    if state is not None and not isinstance(state, dict):
        raise TypeError(f"the state of an autoscaling policy must be a dict, got {state!r}.")
    return float(count), dict(state or {})


class PolicyCode:
    """What the native host calls. All of it on the event loop's thread."""

    def __init__(self, assignment: dict[str, Any]) -> None:
        self._id = DeploymentID(assignment["deployment"], assignment["app"])
        self._policy: Optional[Callable[[AutoscalingContext], Any]] = None
        self._broken = ""  # why there is no policy
        self._state: dict[str, Any] = {}
        self._metrics = ReplicaMetrics(self._id)
        try:
            self._policy = _load(assignment)
        except BaseException as error:  # the user's code, whatever it raises
            logger.exception("The autoscaling policy cannot be made.")
            self._broken = traceback_of(error)
            return
        _process.router().watch(self._id.app_name, self._id.name, self._metrics.update)
        self._metrics.update()

    def decide(self, context_json: str, done: _core.Done) -> None:
        """Asks the user's policy how many replicas there are to be."""
        if self._policy is None:
            done.fail(self._broken)
            return
        try:
            count, self._state = _number(self._policy(self._context(json.loads(context_json))))
        except BaseException as error:  # the user's code, whatever it raises
            done.fail(traceback_of(error))
        else:
            done.ok(json.dumps({"replicas": count}))

    def _context(self, facts: dict[str, Any]) -> AutoscalingContext:
        now = time.time()
        fields = {**facts["config"]}
        fields.pop("policy", None)
        config = AutoscalingConfig(**fields)
        metrics = self._metrics.window(config.look_back_period_s)
        return AutoscalingContext(
            deployment_id=self._id,
            deployment_name=self._id.name,
            app_name=self._id.app_name,
            current_num_replicas=len(facts["running"]),
            target_num_replicas=facts["target"],
            running_replicas=[ReplicaID(unique, self._id) for unique in facts["running"]],
            total_num_requests=facts["total_requests"],
            total_queued_requests=facts["queued_requests"],
            aggregated_metrics=lambda: metrics.aggregated(config.aggregation_function),
            raw_metrics=metrics.raw,
            capacity_adjusted_min_replicas=facts["min_replicas"],
            capacity_adjusted_max_replicas=facts["max_replicas"],
            policy_state=dict(self._state),
            last_scale_up_time=_ago(facts["scaled_up_ago_s"], now),
            last_scale_down_time=_ago(facts["scaled_down_ago_s"], now),
            current_time=now,
            config=config,
        )
