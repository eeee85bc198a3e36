"""Threads of sync user code: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from penstock._local.deployment import _LocalRunners as Runners


def with_runners(limit: int, check: Callable[[Runners], Awaitable[None]]) -> None:
    """Runs the check on a loop, with threads that come back to it."""

    async def run() -> None:
        runners = Runners(asyncio.get_running_loop(), limit)
        try:
            await check(runners)
        finally:
            runners.close()

    asyncio.run(run())


def test_a_result_does_not_wait_for_the_call_behind_it() -> None:
    go_on = threading.Event()

    async def check(runners: Runners) -> None:
        quick, slow = runners.run(lambda: "quick"), runners.run(go_on.wait)
        try:
            assert await asyncio.wait_for(quick.future, 20) == "quick"
            assert not slow.future.done()
        finally:
            go_on.set()
        assert await slow.future

    with_runners(1, check)


def test_calls_that_wait_for_each_other_get_a_thread_each() -> None:
    meeting = threading.Barrier(3, timeout=20)

    async def check(runners: Runners) -> None:
        jobs = [runners.run(meeting.wait) for _ in range(3)]
        assert sorted(await asyncio.gather(*(job.future for job in jobs))) == [0, 1, 2]

    with_runners(3, check)


def test_no_more_threads_than_the_limit() -> None:
    go_on = threading.Event()
    names: list[str] = []

    def note() -> None:
        names.append(threading.current_thread().name)
        go_on.wait(20)

    async def check(runners: Runners) -> None:
        jobs = [runners.run(note) for _ in range(5)]
        while len(names) < 2:
            await asyncio.sleep(0.001)
        last = runners.run(lambda: len(names))
        go_on.set()
        assert await last.future == 5
        await asyncio.gather(*(job.future for job in jobs))

    with_runners(2, check)
    assert len(set(names)) == 2


def test_short_calls_share_a_thread() -> None:
    async def check(runners: Runners) -> None:
        names: set[Any] = set()
        for _ in range(20):
            jobs = [runners.run(lambda: threading.current_thread().name) for _ in range(10)]
            names.update(await asyncio.gather(*(job.future for job in jobs)))
        assert len(names) < 8  # further ones where the machine is busy for milliseconds

    with_runners(8, check)


def test_what_was_dropped_does_not_run() -> None:
    ran: list[int] = []

    async def check(runners: Runners) -> None:
        job = runners.run(lambda: ran.append(1))
        assert job.drop()
        assert await runners.run(lambda: 2).future == 2
        assert not job.future.done()

    with_runners(1, check)
    assert ran == []
