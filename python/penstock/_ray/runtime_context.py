"""``ray.get_runtime_context()``: where this code runs."""

from __future__ import annotations

import json
import os
from typing import Any, Optional

from penstock import _core, _instance
from penstock._ray import init as _init
from penstock.serve import api
from penstock.serve.context import current_replica

__all__ = ["RuntimeContext", "get_runtime_context"]


class RuntimeContext:
    """Facts of this process. What has no meaning here raises AttributeError naming itself."""

    @property
    def gcs_address(self) -> str:
        """Address of the instance: what RAY_ADDRESS and ``--address`` take."""
        return (_instance.current() or _instance.connect()).address

    @property
    def namespace(self) -> str:
        """Namespace given to ``ray.init``; only remembered."""
        return _init.namespace()

    def get_node_id(self) -> str:
        """Id of the node this replica was placed on; the head's in a driver."""
        replica = current_replica()
        if replica is not None:
            return replica.node_id
        for node in _instance.call("cluster.resources")["nodes"]:
            if node["is_head"]:
                return str(node["id"])
        raise RuntimeError("the instance has no head node any more")

    def get_node_labels(self) -> dict[str, str]:
        """Labels of that node."""
        node_id = self.get_node_id()
        for node in _instance.call("cluster.resources")["nodes"]:
            if node["id"] == node_id:
                return dict(node["labels"])
        return {}

    def get_job_id(self) -> str:
        """One instance is one job."""
        return "01000000"

    def get_worker_id(self) -> str:
        """Unique among the processes of the instance."""
        return f"{os.getpid():08x}"

    def get_actor_id(self) -> Optional[str]:
        """Unique id of the replica; None in a driver."""
        replica = current_replica()
        return replica.replica_tag if replica else None

    def get_actor_name(self) -> Optional[str]:
        """``SERVE_REPLICA::app#deployment#id``; None in a driver."""
        replica = current_replica()
        if replica is None:
            return None
        return f"SERVE_REPLICA::{replica.app_name}#{replica.deployment}#{replica.replica_tag}"

    def get_assigned_resources(self) -> dict[str, float]:
        """Amounts this replica was given; empty in a driver."""
        replica = current_replica()
        return dict(replica.assigned_resources) if replica else {}

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Devices this replica was given, by kind of accelerator."""
        replica = current_replica()
        given = replica.device_ids if replica else {}
        return {name: list(given.get(name, [])) for name in _core.device_resources()}

    def get_runtime_env_string(self) -> str:
        """The runtime environment as JSON."""
        return json.dumps(self.runtime_env)

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The replica's runtime environment; in a driver the one given to ``ray.init``."""
        replica = current_replica()
        return dict(replica.runtime_env if replica else api.default_runtime_env)

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Always false: a replica that died is replaced by another one."""
        return False


def get_runtime_context() -> RuntimeContext:
    """Where this code runs."""
    return RuntimeContext()
