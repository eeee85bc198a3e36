"""Tasks whose first step runs at once instead of on the next turn of the loop.

Most handlers never wait. A task that ran to its end in its first step costs the loop nothing,
and to user code it is a task like any other: ``current_task``, context variables, cancellation
and time-outs work as they do everywhere.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Coroutine
from typing import Any, Callable, Optional

__all__ = ["run_eagerly"]

_Task = asyncio.Task
# All the same: making one for each is a sixth of what a task costs.
_NAME = "request"


def _natively(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], context: contextvars.Context
) -> asyncio.Task[None]:
    return _Task(work, loop=loop, name=_NAME, context=context, eager_start=True)  # type: ignore[call-arg]


class _Catch:
    """Stands in for ``call_soon`` while a task is made: takes its first step instead of scheduling it."""

    def __init__(self) -> None:
        self.step: Optional[Callable[[], None]] = None

    def __call__(self, step: Callable[[], None], *, context: Any = None) -> None:
        self.step = step


_catch = _Catch()


# Before 3.12 a task can only be made, not started. Its constructor hands the first step to the
# loop's call_soon; taken there, it is ours to run.
def _by_catching(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], context: contextvars.Context
) -> asyncio.Task[None]:
    loop.call_soon = _catch  # type: ignore[assignment, method-assign]
    try:
        if _TAKES_CONTEXT:
            task = _Task(work, loop=loop, name=_NAME, context=context)
        else:
            task = context.run(_Task, work, loop=loop, name=_NAME)
    finally:
        del loop.call_soon
    step, _catch.step = _catch.step, None
    assert step is not None
    context.run(step)
    return task


_TAKES_CONTEXT = sys.version_info >= (3, 11)
_run = _natively if sys.version_info >= (3, 12) else _by_catching


def run_eagerly(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], context: contextvars.Context
) -> asyncio.Task[None]:
    """A task for ``work`` in ``context``, its first step done. Pre: ``loop`` runs and no task does."""
    return _run(loop, work, context)
