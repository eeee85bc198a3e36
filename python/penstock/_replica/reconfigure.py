"""User code's ``reconfigure``."""

from __future__ import annotations

import inspect
from typing import Any

from penstock.serve.context import ReplicaRank
from penstock.serve.exceptions import RayServeException


def takes_rank(servable: Any) -> bool:
    """Whether it has a ``reconfigure`` with a parameter ``rank``."""
    method = getattr(servable, "reconfigure", None)
    return callable(method) and "rank" in inspect.signature(method).parameters


async def reconfigure(servable: Any, name: str, user_config: Any, rank: ReplicaRank) -> None:
    """Tells it of ``user_config``, and of ``rank`` if it takes one; of no ``user_config`` only then.

    RayServeException when there is a ``user_config`` and no such method; ``name`` is for its text.
    """
    method = getattr(servable, "reconfigure", None)
    with_rank = takes_rank(servable)
    if user_config is None and not with_rank:
        return
    if not callable(method):
        raise RayServeException(f"user_config specified but deployment {name} missing reconfigure method")
    outcome = method(user_config, rank=rank) if with_rank else method(user_config)
    if inspect.isawaitable(outcome):
        await outcome
