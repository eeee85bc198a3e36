"""The nodes and what they have."""

from __future__ import annotations

from typing import Any

from penstock import _instance
from penstock.serve.context import current_replica

__all__ = ["available_resources", "cluster_resources", "get_gpu_ids", "nodes"]


def _resources() -> dict[str, Any]:
    if _instance.current() is None:
        if current_replica() is None:
            raise ConnectionError("Ray has not been started yet. You can start Ray with 'ray.init()'.")
        _instance.connect()
    answer: dict[str, Any] = _instance.call("cluster.resources")
    return answer


def _positive(amounts: dict[str, float]) -> dict[str, float]:
    return {name: float(amount) for name, amount in amounts.items() if amount > 0}


def cluster_resources() -> dict[str, float]:
    """What all live nodes have together; memory in bytes. ConnectionError before ``ray.init``."""
    return _positive(_resources()["total"])


def available_resources() -> dict[str, float]:
    """What of it is free; names of which nothing is free are left out."""
    return _positive(_resources()["available"])


def nodes() -> list[dict[str, Any]]:
    """Every node, dead ones too, in Ray's words."""
    return [
        {
            "NodeID": node["id"],
            "Alive": node["alive"],
            "alive": node["alive"],
            "NodeManagerAddress": node["ip"],
            "NodeManagerHostname": node["name"],
            "NodeName": node["name"],
            "Resources": _positive(node["total"]) if node["alive"] else {},
            "Labels": node["labels"],
        }
        for node in _resources()["nodes"]
    ]


def get_gpu_ids() -> list[Any]:
    """The GPUs this replica was given: numbers, or the ids of its node's devices. Empty in a driver."""
    replica = current_replica()
    ids = replica.device_ids.get("GPU", []) if replica else []
    return [int(i) if i.isdigit() else i for i in ids]
