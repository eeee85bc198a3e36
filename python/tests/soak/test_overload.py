"""Three times as many requests as can be served."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from load import Answer, Client, Memory, proxy_pid, report, scaled, soak
from probes import QUICK
from ray import serve

# A test may run on a machine with other work: few requests, and much that waits.
SERVICE_S = scaled(0.5, 0.05)
SLOTS = 8
QUEUED = 40
RUN_S = scaled(5, 120)
MOST_GROWTH_MB = 16
GOODPUT = scaled(0.7, 0.9)  # of the time of all slots, what has to go into answers


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(max_ongoing_requests=SLOTS, **QUICK)
class Slow:
    """Remembers when it worked on what it answered."""

    def __init__(self) -> None:
        self._worked: list[tuple[float, float]] = []

    async def __call__(self) -> str:
        began = time.monotonic()
        await asyncio.sleep(SERVICE_S)
        self._worked.append((began, time.monotonic()))
        return "done"

    def goodput(self) -> float:
        """The part of its slots' time that went into answers, from the first to the last request."""
        last = max(began for began, _ in self._worked)
        span = last - min(began for began, _ in self._worked)
        return sum(min(ended, last) - began for began, ended in self._worked) / (SLOTS * span)


class Outcome(NamedTuple):
    """What came of a run."""

    answers: list[Answer]
    figures: dict[str, float]


def _overload(app: App, headers: dict[str, str]) -> Outcome:
    (replica,) = app.details("Slow")["replicas"]
    memory = Memory(proxy=proxy_pid(), replica=replica["pid"])
    client = Client(app.instance.http_port)

    async def run() -> tuple[list[Answer], float]:
        """Asks three times as often as can be answered, whatever comes of it."""
        asked = []
        began = time.monotonic()
        while (now := time.monotonic() - began) < RUN_S:
            while len(asked) < now * 3 * SLOTS / SERVICE_S:
                asked.append(asyncio.create_task(client.get(f"/{app.name}", headers)))
            await asyncio.sleep(0.002)
        answers = list(await asyncio.gather(*asked))
        took = time.monotonic() - began
        await client.settle()
        client.close()
        return answers, took

    answers, took = asyncio.run(run())
    accepted = sorted(answer.seconds for answer in answers if answer.status == 200)
    figures = {
        "offered_per_s": len(answers) / RUN_S,
        "answered_per_s": len(accepted) / took,
        "goodput": app.handle.goodput.remote().result(),
        "p50_s": accepted[len(accepted) // 2],
        "p99_s": accepted[len(accepted) * 99 // 100],
        **memory.check(MOST_GROWTH_MB),
    }
    return Outcome(answers, figures)


@soak
def test_with_a_limit_on_the_queue_the_rest_is_told_at_once(deploy: Deployer) -> None:
    app = deploy(Slow.options(max_queued_requests=QUEUED).bind())
    answers, figures = _overload(app, {})
    statuses = Counter(answer.status for answer in answers)
    refused = sorted(answer.seconds for answer in answers if answer.status == 503)
    report("overload, bounded queue", statuses=statuses, **figures)
    assert set(statuses) == {200, 503}
    assert figures["goodput"] >= GOODPUT
    # Nobody waits for much longer than the whole queue takes.
    assert figures["p99_s"] <= 4 * (QUEUED + 2 * SLOTS) / figures["answered_per_s"]
    assert refused[len(refused) // 2] < figures["p50_s"]


@soak
def test_without_one_deadlines_bound_it(deploy: Deployer) -> None:
    app = deploy(Slow.bind())
    # In the order of arrival requests would come to their turn when their time is up.
    answers, figures = _overload(app, {"x-request-timeout-seconds": str(scaled(4, 10) * SERVICE_S)})
    statuses = Counter(answer.status for answer in answers)
    report("overload, deadlines", statuses=statuses, **figures)
    assert set(statuses) == {200, 408}
    assert figures["goodput"] >= GOODPUT
