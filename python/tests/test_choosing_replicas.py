"""Calls to every replica, and to one that was chosen before."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from probes import QUICK, Gate
from ray import serve
from ray.serve.exceptions import DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(num_replicas=2, max_ongoing_requests=1, **QUICK)
class Worker:
    """One request at a time."""

    def __init__(self, gate: DeploymentHandle) -> None:
        self._gate = gate
        self._id = serve.get_replica_context().replica_id.unique_id

    async def __call__(self, value: Any = None) -> tuple[str, Any]:
        """Who answers, and what it was told."""
        return self._id, value

    async def held(self) -> str:
        """Who answers, once the gate is open."""
        await self._gate.wait.remote()
        return self._id

    async def pid(self) -> int:
        """The process."""
        return os.getpid()

    async def fail_on(self, replica: str) -> str:
        """On one replica alone."""
        if replica == self._id:
            raise LookupError(replica)
        return self._id

    async def count(self, n: int) -> AsyncIterator[int]:
        """A stream."""
        for i in range(n):
            yield i


@serve.deployment(**QUICK)
class Front:
    """Calls others from inside a replica."""

    def __init__(self, worker: DeploymentHandle) -> None:
        self._worker = worker

    async def everywhere(self, value: Any) -> list[Any]:
        """To all."""
        response = self._worker.broadcast("__call__", value)
        with pytest.raises(RuntimeError, match="results_async"):
            response.results()
        return await response.results_async(timeout_s=30)

    async def chosen(self, value: Any) -> tuple[Any, Any]:
        """To one: which was chosen, and what it says."""
        async with self._worker.choose_replica() as selection:
            answer = await self._worker.dispatch(selection, value)
        return selection.to_dict(), answer


@pytest.fixture(scope="module")
def app(deploy_once: Deployer) -> App:
    return deploy_once(Front.bind(Worker.bind(Gate.bind())))


def replicas(app: App, deployment: str = "Worker") -> set[str]:
    rows = app.details(deployment)["replicas"]
    return {row["replica_id"] for row in rows if row["state"] == "RUNNING"}


# ---- to all ----


def test_a_broadcast_reaches_every_replica(app: App) -> None:
    worker = app.of("Worker")
    assert {who for who, _ in worker.broadcast("__call__", value=1).results()} == replicas(app)
    inside = app.handle.everywhere.remote("x").result()
    assert {who for who, _ in inside} == replicas(app)


def test_a_broadcast_reaches_replicas_that_are_full(deploy: Deployer) -> None:
    app = deploy(Worker.bind(Gate.bind()))
    worker, gate = app.of("Worker"), app.of("Gate")
    held = [worker.held.remote() for _ in range(2)]
    wait_until(lambda: gate.count.remote().result() == 2, "both replicas are busy")
    assert len(worker.broadcast("__call__").results(timeout_s=30)) == 2
    gate.open.remote().result()
    assert {call.result() for call in held} == replicas(app)


def test_a_broadcast_resolves_its_arguments(app: App) -> None:
    worker = app.of("Worker")
    answers = worker.broadcast("__call__", worker.pid.remote()).results()
    assert len({value for _, value in answers}) == 1
    assert isinstance(answers[0][1], int)


def test_what_a_broadcast_raises(app: App) -> None:
    worker = app.of("Worker")
    failing, other = sorted(replicas(app))
    with pytest.raises(LookupError, match=failing):
        worker.broadcast("fail_on", failing).results()
    results = worker.broadcast("fail_on", failing).results(return_exceptions=True)
    assert other in results
    assert any(isinstance(r, LookupError) for r in results)

    async def go() -> list[Any]:
        return await worker.broadcast("fail_on", failing).results_async(return_exceptions=True)

    assert {isinstance(r, LookupError) for r in asyncio.run(go())} == {True, False}


def test_time_outs_of_a_broadcast(deploy: Deployer) -> None:
    app = deploy(Worker.bind(Gate.bind()))
    response = app.of("Worker").broadcast("held")
    with pytest.raises(ValueError, match="must not be negative"):
        response.results(timeout_s=-1)
    with pytest.raises(TimeoutError):
        response.results(timeout_s=0.05)
    with pytest.raises(TimeoutError):
        asyncio.run(response.results_async(timeout_s=0.05))
    app.of("Gate").open.remote().result()


def test_a_broadcast_to_nobody(deploy: Deployer) -> None:
    none = {"min_replicas": 0, "max_replicas": 1, "initial_replicas": 0}
    idle = Gate.options(name="Idle", autoscaling_config=none)
    app = deploy(idle.bind())
    with pytest.raises(DeploymentUnavailableError):
        app.handle.broadcast("count").results(timeout_s=30)


# ---- to one that was chosen ----


def test_a_chosen_replica_is_called(app: App) -> None:
    for _ in range(4):
        chosen, (who, value) = app.handle.chosen.remote("x").result()
        assert (chosen["replica_id"], "x") == (who, value)
        assert chosen["node_id"] == app.instance.status()["cluster"]["nodes"][0]["id"]


def test_the_slot_of_a_chosen_replica_is_held(deploy: Deployer) -> None:
    app = deploy(Worker.options(num_replicas=1).bind(Gate.bind()))
    worker = app.of("Worker")

    async def go() -> None:
        async with worker.choose_replica() as selection:
            other = worker.remote("other")  # there is no second slot
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(other.result, 0.1)
            mine = worker.dispatch(selection, "mine")
            assert (await mine)[1] == "mine"
            assert (await other)[1] == "other"
        async with worker.choose_replica():
            other = worker.remote("again")
        assert (await other)[1] == "again"  # what was not used is given back

    asyncio.run(go())


def test_streams_and_methods_of_a_selection(app: App) -> None:
    worker = app.of("Worker").options(stream=True).count

    async def go() -> list[Any]:
        async with worker.choose_replica() as selection:
            return [item async for item in worker.dispatch(selection, 3)]

    assert asyncio.run(go()) == [0, 1, 2]


def test_selections_of_two_deployments(app: App) -> None:
    worker, gate = app.of("Worker"), app.of("Gate")

    async def go() -> None:
        async with AsyncExitStack() as stack:
            first, second = await asyncio.gather(
                stack.enter_async_context(worker.choose_replica()),
                stack.enter_async_context(gate.count.choose_replica()),
            )
            answers = asyncio.gather(worker.dispatch(first, 1), gate.count.dispatch(second))
            assert await answers == [(first.replica_id, 1), 0]

    asyncio.run(go())


def test_what_cannot_be_dispatched(app: App) -> None:
    worker, gate = app.of("Worker"), app.of("Gate")

    async def go() -> None:
        async with worker.choose_replica() as selection:
            with pytest.raises(ValueError, match="Gate"):
                gate.dispatch(selection)
            await worker.dispatch(selection)
            with pytest.raises(RuntimeError, match="dispatched already"):
                worker.dispatch(selection)
        async with worker.choose_replica(_reserve=False) as selection:
            assert selection.replica_id in replicas(app)
            with pytest.raises(RuntimeError, match="_reserve=False"):
                worker.dispatch(selection)

    asyncio.run(go())


def test_a_chosen_replica_that_has_gone(deploy: Deployer) -> None:
    app = deploy(Worker.options(num_replicas=1).bind(Gate.bind()))
    worker = app.of("Worker")
    pid = worker.pid.remote().result()

    async def go() -> None:
        async with worker.choose_replica() as selection:
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: not selection._call.reserved(), "the router knows")
            with pytest.raises(ReplicaUnavailableError, match=selection.replica_id):
                worker.dispatch(selection, 1)

    asyncio.run(go())
