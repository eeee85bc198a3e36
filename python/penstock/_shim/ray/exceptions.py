"""Exceptions that Serve's users catch."""

from penstock._errors import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
    TaskCancelledError,
)

__all__ = [
    "ActorDiedError",
    "ActorUnavailableError",
    "GetTimeoutError",
    "RayActorError",
    "RayError",
    "RayTaskError",
    "TaskCancelledError",
]
