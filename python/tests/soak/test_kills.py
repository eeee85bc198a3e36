"""kill -9 of a replica and of the proxy, under load."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from load import Client, proxy_pid, report, scaled, soak
from probes import QUICK
from ray import serve
from waiting import wait_until

SLOTS = 4
REPLICAS = 3
CLIENTS = 32
KILLS = scaled(2, 20)


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(num_replicas=REPLICAS, max_ongoing_requests=SLOTS, **QUICK)
class Steady:
    async def __call__(self) -> str:
        await asyncio.sleep(0.005)
        return "done"


class Load:
    """Clients that ask again as soon as they are answered."""

    def __init__(self, app: App) -> None:
        self._client = Client(app.instance.http_port)
        self._path = f"/{app.name}"
        self._over = False
        self.endings: Counter[str] = Counter()

    async def _ask(self) -> None:
        while not self._over:
            try:
                self.endings[str((await self._client.get(self._path)).status)] += 1
            except ConnectionRefusedError:
                self.endings["refused"] += 1
            except ConnectionError:
                self.endings["cut"] += 1

    async def until(self, more: int) -> None:
        """Until so many more requests have been answered well."""
        goal = self.endings["200"] + more
        while self.endings["200"] < goal:
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Asks while this lasts."""
        clients = [asyncio.create_task(self._ask()) for _ in range(CLIENTS)]
        try:
            yield self
        finally:
            self._over = True
            await asyncio.gather(*clients)
            self._client.close()


@soak
def test_a_replica_that_is_killed_costs_only_what_it_held(deploy: Deployer) -> None:
    app = deploy(Steady.bind())

    def pids() -> set[int]:
        return {r["pid"] for r in app.details("Steady")["replicas"] if r["state"] == "RUNNING"}

    async def run() -> Counter[str]:
        async with Load(app).running() as load:
            for _ in range(KILLS):
                await load.until(300)
                victim = min(pids())
                os.kill(victim, signal.SIGKILL)
                await load.until(300)
                await asyncio.to_thread(
                    wait_until, lambda gone=victim: len(pids() - {gone}) == REPLICAS, "it is replaced"
                )
            await load.until(300)
        return load.endings

    endings = asyncio.run(run())
    report("replica killed", kills=KILLS, endings=endings, most_held=KILLS * SLOTS)
    assert set(endings) <= {"200", "500"}
    assert 0 < endings["500"] <= KILLS * SLOTS


async def _served_anew(app: App) -> None:
    """Until a connection that is made from now on is answered well."""
    while True:
        client = Client(app.instance.http_port)
        try:
            if (await client.get(f"/{app.name}")).status == 200:
                return
        except ConnectionError:  # it had been queued at the old one
            await asyncio.sleep(0)
        finally:
            client.close()


@soak
def test_a_proxy_that_is_killed_comes_back_with_its_routes(deploy: Deployer) -> None:
    app = deploy(Steady.bind())

    async def run() -> tuple[Counter[str], list[float]]:
        gaps = []
        async with Load(app).running() as load:
            for _ in range(KILLS):
                await load.until(300)
                before = proxy_pid()
                began = time.monotonic()
                os.kill(before, signal.SIGKILL)
                await _served_anew(app)
                gaps.append(time.monotonic() - began)
                assert proxy_pid() != before
            await load.until(300)
        return load.endings, gaps

    endings, gaps = asyncio.run(run())
    report("proxy killed", kills=KILLS, endings=endings, longest_gap_s=max(gaps))
    # Its clients lose what was under way. Who comes later waits at the listening socket, which the
    # agent holds, until the proxy knows the routes.
    assert set(endings) <= {"200", "cut"}
    assert 0 < endings["cut"] <= KILLS * CLIENTS
