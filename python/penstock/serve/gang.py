"""Gangs: replicas that are placed, fail and end together."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GangContext"]


@dataclass
class GangContext:
    """What a replica of a gang may know of its gang; ``ReplicaContext.gang_context``."""

    gang_id: str
    rank: int  # within the gang, from 0
    world_size: int  # replicas of the gang
    member_replica_ids: list[str]  # by rank
    pg_name: str = ""  # of its placement group
