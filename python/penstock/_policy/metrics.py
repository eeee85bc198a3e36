"""What ``record_autoscaling_stats`` of the replicas said, over the look-back period."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Union

from penstock import _process
from penstock.serve.config import AggregationFunction
from penstock.serve.context import DeploymentID, ReplicaID

__all__ = ["MetricsWindow", "ReplicaMetrics", "TimeStampedValue"]

_LONGEST_S = 3600.0  # kept, whatever the look-back period


@dataclass(order=True)
class TimeStampedValue:
    """A value and when it was told, in seconds since the epoch."""

    timestamp: float
    value: float


_Series = dict[str, dict[ReplicaID, list[TimeStampedValue]]]  # by metric and replica


class MetricsWindow:
    """The samples of one look-back period."""

    def __init__(self, series: _Series, now: float) -> None:
        self._series = series
        self._now = now

    def raw(self) -> _Series:
        """Every sample."""
        return self._series

    def aggregated(self, how: Union[str, AggregationFunction]) -> dict[str, dict[ReplicaID, float]]:
        """One number for each metric and replica. A mean is over time: a value holds until the next one."""
        name = str(getattr(how, "value", how)).lower()
        return {
            metric: {replica: self._one(samples, name) for replica, samples in replicas.items()}
            for metric, replicas in self._series.items()
        }

    def _one(self, samples: list[TimeStampedValue], how: str) -> float:
        values = [sample.value for sample in samples]
        if how == "max":
            return max(values)
        if how == "min":
            return min(values)
        ends = [sample.timestamp for sample in samples[1:]] + [self._now]
        spans = [max(0.0, end - sample.timestamp) for sample, end in zip(samples, ends)]
        whole = sum(spans)
        if whole <= 0:
            return values[-1]
        return sum(value * span for value, span in zip(values, spans)) / whole


class ReplicaMetrics:
    """Collects what the replicas of one deployment tell."""

    def __init__(self, deployment_id: DeploymentID) -> None:
        self._id = deployment_id
        self._series: _Series = defaultdict(dict)

    def update(self) -> None:
        """Adopts what is known of the deployment now."""
        known = json.loads(_process.router().describe(self._id.app_name, self._id.name))
        now = time.time()
        alive = set()
        for facts in known["replicas"]:
            replica = ReplicaID(facts["id"], self._id)
            alive.add(replica)
            stats = json.loads(facts["stats"]) if facts["stats"] else {}
            told = stats.get("autoscaling_stats", {"at": 0.0, "values": {}})
            for metric, value in told["values"].items():
                self._add(metric, replica, TimeStampedValue(told["at"], value))
        for replicas in self._series.values():
            for replica in [replica for replica in replicas if replica not in alive]:
                del replicas[replica]
            for samples in replicas.values():
                while len(samples) > 1 and samples[0].timestamp < now - _LONGEST_S:
                    del samples[0]

    def _add(self, metric: str, replica: ReplicaID, sample: TimeStampedValue) -> None:
        samples = self._series[metric].setdefault(replica, [])
        if not samples or samples[-1].timestamp < sample.timestamp:
            samples.append(sample)

    def window(self, look_back_s: float) -> MetricsWindow:
        """The samples of the last ``look_back_s`` seconds; the latest one at least."""
        now = time.time()
        series: Any = {}
        for metric, replicas in self._series.items():
            kept = {}
            for replica, samples in replicas.items():
                recent = [sample for sample in samples if sample.timestamp >= now - look_back_s]
                kept[replica] = recent or samples[-1:]
            series[metric] = kept
        return MetricsWindow(series, now)
