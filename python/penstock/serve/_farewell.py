"""An object's ``__del__``, called when we say so instead of when its last user lets go of it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from typing import Any

__all__ = ["say_farewell"]

logger = logging.getLogger("ray.serve")

# Of objects whose __del__ has been called by us: Python must not call it again.
_gone: set[int] = set()


def _once(kind: type) -> bool:
    """Makes the class's ``__del__`` pass over objects that are gone. False when it cannot."""
    farewell: Any = kind.__del__  # type: ignore[attr-defined]
    if hasattr(farewell, "passes_over_gone"):
        return True

    @functools.wraps(farewell)
    def guarded(self: Any) -> Any:
        if id(self) in _gone:
            _gone.discard(id(self))
            return None
        return farewell(self)

    guarded.passes_over_gone = farewell  # type: ignore[attr-defined]
    try:
        kind.__del__ = guarded  # type: ignore[attr-defined]
    except (AttributeError, TypeError):  # a type that is not written in Python
        return False
    return True


async def say_farewell(leaving: Any, what: str, in_thread: bool = False) -> None:
    """Calls the ``__del__`` of ``leaving``, its class's own or inherited, now and only once.

    One that is not async runs here, or on a thread. What it raises is logged: ``what`` names the
    object there.
    """
    kind = type(leaving)
    if not hasattr(kind, "__del__") or not _once(kind):
        return
    farewell = kind.__del__.passes_over_gone
    try:
        if in_thread and not inspect.iscoroutinefunction(farewell):
            await asyncio.get_running_loop().run_in_executor(None, farewell, leaving)
        else:
            outcome = farewell(leaving)
            if inspect.isawaitable(outcome):
                await outcome
    except Exception:
        logger.exception("%s's __del__ failed.", what)
    finally:
        _gone.add(id(leaving))
