"""Requests that are cancelled: those that wait never run, those that run give their slot back."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from load import Client, Memory, Notebook, proxy_pid, report, scaled, soak, together
from probes import QUICK, Gate
from ray import serve
from ray.serve.exceptions import RequestCancelledError
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from waiting import wait_until

COUNT = scaled(600, 10_000)
SLOTS = 4
REPLICAS = 2
AT_ONCE = 48
# More than the allocators' noise, less than a kilobyte for each request of a soak.
MOST_GROWTH_MB = 9


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(max_ongoing_requests=SLOTS, **QUICK)
class Worker:
    """Notes each request that it begins and ends."""

    def __init__(self, notebook: str, gate: DeploymentHandle) -> None:
        self._notes = os.open(notebook, os.O_WRONLY | os.O_APPEND)
        self._gate = gate

    async def __call__(self, request: Request) -> str:
        return await self.work(request.query_params["name"], float(request.query_params["s"]))

    async def work(self, name: str, seconds: float) -> str:
        """Takes so long; less than nothing: until the gate is opened."""
        os.write(self._notes, f"begun {name}\n".encode())
        try:
            await (self._gate.wait.remote() if seconds < 0 else asyncio.sleep(seconds))
        finally:
            os.write(self._notes, f"ended {name}\n".encode())
        return name


@serve.deployment(max_ongoing_requests=1000, **QUICK)
class Front:
    """Passes requests on."""

    def __init__(self, worker: DeploymentHandle) -> None:
        self._worker = worker

    async def __call__(self, request: Request) -> str:
        return await self.pass_on(request.query_params["name"], float(request.query_params["s"]))

    async def pass_on(self, name: str, seconds: float) -> str:
        """To the worker."""
        return await self._worker.work.remote(name, seconds)


class Canceller:
    """Makes requests and cancels them in three ways."""

    def __init__(self, app: App, handle: DeploymentHandle, seed: int) -> None:
        self._path = f"/{app.name}"
        self._handle = handle
        self._random = random.Random(seed)
        self.client = Client(app.instance.http_port)
        self.patience_s = 0.02

    def path(self, name: str, seconds: float) -> str:
        """Of a request for the worker."""
        return f"{self._path}?name={name}&s={seconds}"

    async def one(self, number: int, seconds: float) -> str:
        """One request, given up after a while; how it ended."""
        after = self._random.random() ** 2 * self.patience_s
        name = f"{number}"
        if number % 3 == 0:
            await self.client.abandon(self.path(name, seconds), asyncio.sleep(after))
            return "left"
        if number % 3 == 1:
            headers = {"x-request-timeout-seconds": str(after + 0.001)}
            return str((await self.client.get(self.path(name, seconds), headers)).status)
        response = self._handle.remote(name, seconds)
        await asyncio.sleep(after)
        response.cancel()
        try:
            await response
        except (RequestCancelledError, asyncio.CancelledError):
            return "cancelled"
        return "200"


def _deploy(deploy: Deployer, tmp_path: Path, front: bool, replicas: int) -> tuple[App, Notebook]:
    notebook = Notebook(tmp_path / "notebook")
    worker = Worker.options(num_replicas=replicas).bind(notebook.path, Gate.bind())
    return deploy(Front.bind(worker) if front else worker), notebook


@soak
def test_a_request_that_is_cancelled_in_the_queue_never_runs(deploy: Deployer, tmp_path: Path) -> None:
    app, notebook = _deploy(deploy, tmp_path, front=False, replicas=1)
    gate = app.of("Gate")

    async def run() -> Counter[str]:
        canceller = Canceller(app, app.handle.work, seed=1)
        holders = [asyncio.create_task(canceller.client.get(canceller.path(f"holder{n}", -1))) for n in range(SLOTS)]
        await asyncio.to_thread(wait_until, lambda: gate.count.remote().result() == SLOTS, "every slot is taken")
        endings = await together((canceller.one(n, 0) for n in range(COUNT)), AT_ONCE)
        await canceller.client.settle()
        await gate.open.remote()
        assert [(await holder).status for holder in holders] == [200] * SLOTS
        assert (await canceller.client.get(canceller.path("last", 0))).status == 200
        canceller.client.close()
        return Counter(endings)

    endings = asyncio.run(run())
    ran = set(notebook.lines("begun"))
    report("cancelled in the queue", requests=COUNT, endings=endings, ran=len(ran) - SLOTS - 1)
    assert set(endings) == {"left", "408", "cancelled"}
    assert ran == {*(f"holder{n}" for n in range(SLOTS)), "last"}


@soak
def test_cancelled_at_any_point_a_request_gives_back_its_slot_and_its_memory(deploy: Deployer, tmp_path: Path) -> None:
    app, notebook = _deploy(deploy, tmp_path, front=True, replicas=REPLICAS)
    gate = app.of("Gate")
    workers = {f"worker{n}": r["pid"] for n, r in enumerate(app.details("Worker")["replicas"])}
    (front,) = app.details("Front")["replicas"]

    async def run() -> tuple[Counter[str], dict[str, float]]:
        canceller = Canceller(app, app.handle.pass_on, seed=2)
        chance = random.Random(3)
        # Longer than requests take while nobody cancels: then any point is met, on any machine.
        began = time.monotonic()
        await together((canceller.client.get(canceller.path(f"usual{n}", 0)) for n in range(AT_ONCE)), AT_ONCE)
        canceller.patience_s += 2 * (time.monotonic() - began)

        async def some(numbers: range) -> list[str]:
            return await together((canceller.one(n, chance.random() * 0.01) for n in numbers), AT_ONCE)

        endings = Counter(await some(range(COUNT // 2)))  # what is allocated once is allocated now
        await canceller.client.settle()
        memory = Memory(proxy=proxy_pid(), front=front["pid"], **workers)
        endings += Counter(await some(range(COUNT // 2, COUNT)))
        await canceller.client.settle()
        growth = memory.check(MOST_GROWTH_MB)
        canceller.client.close()
        return endings, growth

    endings, growth = asyncio.run(run())
    wait_until(lambda: len(notebook.lines("ended")) == len(notebook.lines("begun")), "what began has ended")
    begun = len(notebook.lines("begun"))
    report("cancelled at any point", requests=COUNT, endings=endings, begun=begun, **growth)
    assert set(endings) == {"left", "408", "cancelled", "200"}
    assert 0 < begun < COUNT  # some were cancelled where they waited, others while they ran

    slots = SLOTS * REPLICAS
    waiting = [app.handle.pass_on.remote(f"holder{n}", -1) for n in range(slots + 1)]
    wait_until(lambda: gate.count.remote().result() == slots, "every slot is free, and none is there twice")
    gate.open.remote().result()
    assert [response.result() for response in waiting] == [f"holder{n}" for n in range(slots + 1)]
