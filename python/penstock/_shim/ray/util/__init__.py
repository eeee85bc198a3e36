"""What of ``ray.util`` deployments use: metrics. The rest is about tasks and actors."""

from typing import NoReturn

from ray.util import metrics as metrics

_LEFT_OUT = frozenset(
    (
        "ActorPool",
        "as_completed",
        "collective",
        "connect",
        "deregister_serializer",
        "disconnect",
        "get_current_placement_group",
        "get_node_instance_id",
        "get_node_ip_address",
        "get_placement_group",
        "inspect_serializability",
        "list_named_actors",
        "map_unordered",
        "multiprocessing",
        "placement_group",
        "placement_group_table",
        "queue",
        "register_serializer",
        "remove_placement_group",
        "scheduling_strategies",
        "state",
    )
)


def __getattr__(name: str) -> NoReturn:
    # Anything else as modules do: pickle looks in all of them for names that are not theirs.
    if name in _LEFT_OUT:
        raise NotImplementedError(
            f"ray.util.{name} is not there: Penstock serves deployments, it runs no tasks or actors."
        )
    raise AttributeError(f"module 'ray.util' has no attribute '{name}'")
