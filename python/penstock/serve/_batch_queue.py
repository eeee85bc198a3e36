"""The queue behind ``@serve.batch``: which requests go together, and when.

A batch leaves when it is full, or when its first member has waited long enough; while as many
batches run as may, it stays open and fills up. There is one task per batch and none per request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Optional, Protocol, Union

from penstock.serve._feature_metrics import BatchMetrics
from penstock.serve.context import RequestContext, request_context

__all__ = ["Queue", "Request", "Rules", "Sink", "Stream"]


class Stream:
    """One caller's end of a batched generator: what was made for it and not taken yet."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._wake: Optional[asyncio.Future[None]] = None
        self._error: Optional[BaseException] = None
        self.ended = False  # nothing more comes
        self.left = False  # the caller stopped to listen before that

    def done(self) -> bool:
        """True when there is nobody to make anything for."""
        return self.ended or self.left

    def push(self, item: Any) -> None:
        """One more item for the caller."""
        self._items.append(item)
        self._tell()

    def end(self) -> None:
        """The caller's iteration ends after what it has been given."""
        self.ended = True
        self._tell()

    def set_exception(self, error: BaseException) -> None:
        """The caller's iteration raises after what it has been given."""
        self._error = error
        self.end()

    def cancel(self) -> None:
        """The caller's iteration ends as if it had been cancelled."""
        self.set_exception(asyncio.CancelledError())

    def _tell(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def items(self) -> AsyncIterator[Any]:
        """What the caller iterates over."""
        try:
            while True:
                while self._items:
                    yield self._items.popleft()
                if self.ended:
                    if self._error is not None:
                        raise self._error
                    return
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        finally:
            self.left = not self.ended


Sink = Union["asyncio.Future[Any]", Stream]


class Request:
    """One call: its arguments, and who waits for the result."""

    __slots__ = ("args", "context", "kwargs", "owner", "sink")

    def __init__(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any], sink: Sink) -> None:
        self.owner = owner  # the object whose method was called, or None
        self.args = args
        self.kwargs = kwargs
        self.sink = sink
        self.context = request_context.get()

    @property
    def model_id(self) -> str:
        """Of the model that the request is for; "" when it names none."""
        return self.context.multiplexed_model_id if self.context is not None else ""

    def fail(self, error: BaseException) -> None:
        """Tells the caller, unless it has gone."""
        if self.sink.done():
            return
        if isinstance(error, asyncio.CancelledError):
            self.sink.cancel()
        else:
            self.sink.set_exception(error)


class Rules(Protocol):
    """What a queue asks for anew with each batch, so that changes apply to the next one."""

    max_batch_size: int
    batch_wait_timeout_s: float
    max_concurrent_batches: int

    @property
    def name(self) -> str:
        """Of the function."""

    def size_of(self, batch: list[Request], request: Request) -> Any:
        """The size of a batch with one request more. May raise."""

    def work(self, requests: list[Request], context: Optional[RequestContext]) -> asyncio.Task[None]:
        """Starts one call for these requests and answers them; the task never fails."""


def _groups(requests: list[Request]) -> list[list[Request]]:
    """Those that one call can serve: of one object, for one model; in order of appearance."""
    groups: dict[tuple[int, str], list[Request]] = {}
    for request in requests:
        groups.setdefault((id(request.owner), request.model_id), []).append(request)
    return list(groups.values())


def _shared_context(requests: list[Request]) -> Optional[RequestContext]:
    """What all of them have in common, for code that asks which request it works on."""
    first = requests[0].context
    if first is None:
        return None
    routes = {request.context.route if request.context else "" for request in requests}
    return RequestContext(
        route=routes.pop() if len(routes) == 1 else "",
        app_name=first.app_name,
        multiplexed_model_id=first.multiplexed_model_id,
    )


class Queue:
    """The requests of one batched function on one event loop, whose thread alone touches it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._waiting: deque[Request] = deque()
        self._batch: list[Request] = []  # the one that is forming
        self._limit = 0  # its size when it is full
        self._full = False
        self._due = False  # its first member has waited long enough
        self._timer: Optional[asyncio.Handle] = None
        self._running = 0  # batches
        self._tasks: set[asyncio.Task[None]] = set()
        self._metrics = BatchMetrics(rules.name)
        self._began = 0.0  # when the first member of the forming batch came

    def put(self, request: Request) -> None:
        """Adds a request; a batch that is full with it leaves at once if it may."""
        self._waiting.append(request)
        if not self._full:
            self._advance()

    def _advance(self) -> None:
        while True:
            self._fill()
            if not self._batch or self._running >= self._rules.max_concurrent_batches:
                return
            if not self._full and not self._due:
                return
            if not self._drop_cancelled():
                self._launch()

    def _fill(self) -> None:
        while self._waiting and not self._full:
            request = self._waiting.popleft()
            if not request.sink.done():
                self._add(request)

    def _add(self, request: Request) -> None:
        if not self._batch:
            self._limit = self._rules.max_batch_size
            self._began = time.perf_counter()
        try:
            size = self._rules.size_of(self._batch, request)
            fits = bool(size <= self._limit)
        except Exception as error:  # the user's function, about this request
            request.fail(error)
            return
        if fits:
            self._batch.append(request)
            self._full = bool(size == self._limit)
            if len(self._batch) == 1 and not self._full:
                self._wait()
        elif self._batch:
            self._waiting.append(request)
            self._full = True
        else:
            request.fail(
                RuntimeError(
                    f"The size of this request ({size}) exceeds max_batch_size ({self._limit}): it fits no batch."
                )
            )

    def _wait(self) -> None:
        """Starts the time of a batch. Even without any, callers of the same turn go together."""
        timeout_s = self._rules.batch_wait_timeout_s
        loop = asyncio.get_running_loop()
        if timeout_s > 0:
            self._timer = loop.call_later(timeout_s, self._on_due)
        else:
            self._timer = loop.call_soon(self._on_due)

    def _on_due(self) -> None:
        self._timer = None
        self._due = True
        self._advance()

    def _drop_cancelled(self) -> bool:
        """True when somebody has gone, so that there is room again."""
        alive = [request for request in self._batch if not request.sink.done()]
        if len(alive) == len(self._batch):
            return False
        if alive:
            self._batch, self._full = alive, False
        else:
            self._reset()
        return True

    def _reset(self) -> None:
        """No batch is forming."""
        self._batch = []
        self._full = self._due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _launch(self) -> None:
        groups = _groups(self._batch)
        launched = time.perf_counter()
        self._count_launch(launched)
        self._reset()
        self._running += 1
        left = len(groups)

        def one_is_done(task: asyncio.Task[None]) -> None:
            nonlocal left
            self._tasks.discard(task)
            left -= 1
            if left == 0:
                self._metrics.execution_ms.observe(1000 * (time.perf_counter() - launched))
                self._running -= 1
                self._advance()

        for group in groups:
            task = self._rules.work(group, _shared_context(group))
            self._tasks.add(task)
            task.add_done_callback(one_is_done)

    def _count_launch(self, now: float) -> None:
        metrics = self._metrics
        metrics.batches.inc()
        metrics.wait_ms.observe(1000 * (now - self._began))
        metrics.size.observe(len(self._batch))
        metrics.utilization_percent.observe(100 * len(self._batch) / self._limit)
        metrics.queue_length.set(len(self._waiting))
