"""Threads for sync user code.

A thread per call would cost two hand-overs of the interpreter lock for each. So one thread runs
what is queued, call after call, as long as calls are short; a call that has not been reached
within a millisecond, or calls that are known to take long, bring in another thread, up to the
limit. A handler that sleeps or computes therefore delays others by a millisecond at most.

What is to run is handed over in batches, with one wake-up a turn of the loop. What a thread has
done is sent, and told, once nothing is left to run, or after half a millisecond.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import Any, Callable

from penstock import _process

__all__ = ["Job", "Runners"]

_PATIENCE_S = 0.001
# Calls of this length on average are worth a thread each.
_LONG_S = 0.0003
_WEIGHT = 0.1  # of the latest call in the average
# What a thread has done waits no longer than this for more.
_SEND_AFTER_S = 0.0005

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
        self._queue: deque[Work] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()  # for a thread that is idle: False ends it
        self._ringing = False
        self._threads: set[threading.Thread] = set()
        self._idle: set[threading.Thread] = set()  # wait for the bell
        self._typical_s = 0.0
        self._begun = 0  # calls that a thread has taken up
        self._watching = False
        self._done: deque[Work] = deque()
        self._telling = False
        self._owing = False  # a thread has done something since the last _send
        self._closed = False

    def submit(self, work: Work) -> None:
        """Runs ``work()`` on a thread, soon. It must not raise. Answers that it gives are sent."""
        self._queue.append(work)
        if not self._ringing:
            self._ringing = True
            self._loop.call_soon(self._ring)

    def done(self, then: Work) -> None:
        """From ``work()``, as its last act: runs ``then()`` on the loop, with those of other calls."""
        self._done.append(then)

    def tell(self, then: Work) -> None:
        """From a thread, any time: runs ``then()`` on the loop, soon."""
        self._done.append(then)
        self._tell()

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
                self.done(lambda: job.fail(failure))
            else:
                self.done(lambda: job.resolve(result))

        self.submit(work)
        return job

    def facts(self) -> dict[str, int]:
        """For the agent, which looks whether calls get anywhere."""
        taken = len(self._threads) - len(self._idle)
        return {"limit": self._limit, "taken": taken, "queued": len(self._queue), "begun": self._begun}

    def close(self) -> None:
        """Ends the threads that do nothing; one that is stuck in user code is left behind."""
        self._closed = True
        for _ in self._threads:
            self._bell.put(False)

    @property
    def busy(self) -> bool:
        """True while a thread lives."""
        return any(thread.is_alive() for thread in self._threads)

    def _ring(self) -> None:
        """Once for all that a turn of the loop has submitted."""
        self._ringing = False
        long = self._typical_s > _LONG_S  # a thread each; else one comes back in no time
        wanted = len(self._queue) if long else 1
        missing = wanted - len(self._idle) if long else int(not self._threads)
        for _ in range(min(wanted, len(self._idle))):
            self._bell.put(True)
        while missing > 0 and self._add_thread():
            missing -= 1
        if not self._watching:
            self._watching = True
            self._loop.call_later(_PATIENCE_S, self._watch, self._begun)

    def _send(self) -> None:
        """Any thread: lets out what has been done."""
        self._owing = False  # first: what is done from now on is sent again
        self._flush()
        self._tell()

    def _flush(self) -> None:
        _process.loop().flush()

    def _tell(self) -> None:
        if not self._telling and self._done:
            self._telling = True
            self._post(self._drain)

    def _post(self, task: Work) -> None:
        """From a thread: runs ``task()`` on the loop."""
        _process.loop().post(task)

    def _drain(self) -> None:
        self._telling = False  # first: what is told from now on is told again
        while self._done:
            self._done.popleft()()

    def _add_thread(self) -> bool:
        if len(self._threads) >= self._limit or self._closed:
            return False
        thread = threading.Thread(target=self._work, name=f"request-{len(self._threads)}", daemon=True)
        self._threads.add(thread)
        thread.start()
        return True

    def _watch(self, begun: int) -> None:
        """Brings in another thread when none has taken up anything since the last look.

        And sends what one did before it took up something that takes long.
        """
        if self._owing:
            self._send()
        elif not self._queue:
            self._watching = False
            return
        if self._queue and begun == self._begun:
            self._add_thread()
        self._loop.call_later(_PATIENCE_S, self._watch, self._begun)

    def _work(self) -> None:
        thread = threading.current_thread()
        take = self._queue.popleft
        clock = time.perf_counter
        sent = 0.0
        while True:
            try:
                work = take()
            except IndexError:
                self._send()
                if not self._wait(thread):
                    return
                sent = clock()
                continue
            self._begun += 1
            began = clock()
            work()
            del work  # what it holds must not live until the next call
            self._owing = True
            ended = clock()
            self._typical_s += _WEIGHT * (ended - began - self._typical_s)
            if ended - sent > _SEND_AFTER_S:
                self._send()
                sent = ended
            if len(self._threads) > 1 and self._typical_s < _LONG_S:
                self._threads.discard(thread)
                self._send()
                return

    def _wait(self, thread: threading.Thread) -> bool:
        """Until the bell rings, or there is something to run; False when the thread is to end."""
        self._idle.add(thread)
        # Looked at after it counts as idle: what is submitted from here on rings.
        go_on = True if self._queue else self._bell.get()
        self._idle.discard(thread)
        return go_on
