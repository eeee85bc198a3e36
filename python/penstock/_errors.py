"""Exceptions that cross a process: what user code raised, and what happened to its replica.

The names are Ray's (``ray.exceptions``), because scripts catch them.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = [
    "ActorDiedError",
    "ActorUnavailableError",
    "GetTimeoutError",
    "RayActorError",
    "RayError",
    "RayTaskError",
    "TaskCancelledError",
]


class RayError(Exception):
    """Base of everything that Ray itself raises."""


class RayTaskError(RayError):
    """User code raised in another process.

    What callers get is an instance of this and of the original type, so that
    ``except ValueError`` works. ``cause`` is the original exception, ``traceback_str`` where it
    was raised there.
    """

    def __init__(self, function_name: str, traceback_str: str, cause: BaseException) -> None:
        super().__init__(function_name, traceback_str, cause)
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause

    def __str__(self) -> str:
        return self.traceback_str

    def as_instanceof_cause(self) -> BaseException:
        """This error as an instance of the cause's type too; itself where that cannot be."""
        cause_type = type(self.cause)
        if isinstance(self.cause, RayTaskError):
            return self.cause
        try:
            dual = _dual_type(cause_type)  # type: ignore[arg-type] # types are hashable
            error: BaseException = dual.__new__(dual)
        except TypeError:  # a type that cannot be subclassed, or made without arguments
            return self
        error.__dict__.update(getattr(self.cause, "__dict__", {}))
        error.__dict__.update(self.__dict__)
        error.args = self.cause.args
        return error


@functools.lru_cache(maxsize=256)
def _dual_type(cause_type: type[BaseException]) -> type[BaseException]:
    def reduce(self: Any) -> Any:
        return _revive, (self.function_name, self.traceback_str, self.cause)

    members = {"__module__": cause_type.__module__, "__reduce__": reduce, "__str__": RayTaskError.__str__}
    return type(f"RayTaskError({cause_type.__name__})", (RayTaskError, cause_type), members)


def _revive(function_name: str, traceback_str: str, cause: BaseException) -> BaseException:
    return RayTaskError(function_name, traceback_str, cause).as_instanceof_cause()


class RayActorError(RayError):
    """A replica could not do what it was asked."""


class ActorDiedError(RayActorError):
    """The replica that held the request is gone."""


class ActorUnavailableError(RayActorError):
    """The replica cannot be reached for now."""


class TaskCancelledError(RayError):
    """The call was cancelled."""


class GetTimeoutError(RayError, TimeoutError):
    """``ray.get`` waited longer than it was allowed to."""
