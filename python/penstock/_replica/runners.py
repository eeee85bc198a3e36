"""Threads for sync user code.

A thread per call would cost two hand-overs of the interpreter lock for each. So one thread runs
what is queued, call after call, as long as calls are short; a call that has not been reached
within a millisecond, or calls that are known to take long, bring in another thread, up to the
limit. A handler that sleeps or computes therefore delays others by a millisecond at most.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import Any, Callable, Optional

from penstock import _process

__all__ = ["Job", "Runners"]

_PATIENCE_S = 0.001
# Calls of this length on average are worth a thread each.
_LONG_S = 0.0003
_WEIGHT = 0.1  # of the latest call in the average

Work = Callable[[], Any]


class Job:
    """A call of ``Runners.run``."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future = future
        self._claim = threading.Lock()  # who takes it decides: it runs, or it is dropped

    def begin(self) -> bool:
        """For the thread: False when it was dropped."""
        return self._claim.acquire(blocking=False)

    def resolve(self, result: Any) -> None:
        """On the loop, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """As ``resolve``."""
        if not self.future.done():
            self.future.set_exception(error)

    def drop(self) -> bool:
        """True when it has not begun, and never will."""
        return self._claim.acquire(blocking=False)


class Runners:
    """Runs sync code on at most ``limit`` threads. ``submit`` and ``run`` on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._queue: SimpleQueue[Optional[Work]] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._idle: set[threading.Thread] = set()  # wait for a call
        self._typical_s = 0.0
        self._begun = 0  # calls that a thread has taken up
        self._watching = False
        self._done: deque[Work] = deque()
        self._telling = False
        self._closed = False

    def submit(self, work: Work) -> None:
        """Runs ``work()`` on a thread, soon. It must not raise."""
        self._queue.put(work)
        if not self._threads or (self._typical_s > _LONG_S and self._queue.qsize() > len(self._idle)):
            self._add_thread()
        if not self._watching:
            self._watching = True
            self._loop.call_later(_PATIENCE_S, self._watch, self._begun)

    def tell(self, then: Work) -> None:
        """From a thread: runs ``then()`` on the loop, soon. Many at once cost one wake-up."""
        self._done.append(then)
        if not self._telling:
            self._telling = True
            _process.loop().post(self._drain)

    def run(self, function: Callable[[], Any]) -> Job:
        """Runs ``function()`` on a thread; the job's future has its result."""
        job = Job(self._loop.create_future())

        def work() -> None:
            if not job.begin():
                return
            try:
                result = function()
            except BaseException as error:
                # A future cannot hold a StopIteration.
                failure = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
                self.tell(lambda: job.fail(failure))
            else:
                self.tell(lambda: job.resolve(result))

        self.submit(work)
        return job

    def close(self) -> None:
        """Ends the threads that do nothing; one that is stuck in user code is left behind."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)

    @property
    def busy(self) -> bool:
        """True while a thread lives."""
        return any(thread.is_alive() for thread in self._threads)

    def _drain(self) -> None:
        self._telling = False  # first: what is told from now on is told again
        while self._done:
            self._done.popleft()()

    def _add_thread(self) -> None:
        if len(self._threads) >= self._limit or self._closed:
            return
        thread = threading.Thread(target=self._work, name=f"request-{len(self._threads)}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _watch(self, begun: int) -> None:
        """Brings in another thread when none has taken up anything since the last look."""
        if self._queue.empty():
            self._watching = False
            return
        if begun == self._begun:
            self._add_thread()
        self._loop.call_later(_PATIENCE_S, self._watch, self._begun)

    def _work(self) -> None:
        thread = threading.current_thread()
        take = self._queue.get
        clock = time.perf_counter
        while True:
            self._idle.add(thread)
            work = take()
            self._idle.discard(thread)
            if work is None:
                return
            self._begun += 1
            began = clock()
            work()
            self._typical_s += _WEIGHT * (clock() - began - self._typical_s)
            del work  # what it holds must not live until the next call
            if len(self._threads) > 1 and self._typical_s < _LONG_S:
                self._threads.discard(thread)
                return
