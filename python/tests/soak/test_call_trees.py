"""The end of a request ends the calls that it made, down to the last."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from load import Notebook, request_bytes, soak
from probes import QUICK, Gate
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import StreamingResponse
from waiting import wait_until

LEVELS = ["top", "middle", "leaf", "leaf"]  # the middle one calls two


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(http_options={"request_timeout_s": 2}, num_cpus=16) as running:
        yield running


class Noting:
    """Notes how calls of it end."""

    def __init__(self, notebook: str) -> None:
        self._notes = os.open(notebook, os.O_WRONLY | os.O_APPEND)

    def note(self, how: str, level: str) -> None:
        os.write(self._notes, f"{how} {level}\n".encode())

    async def noted(self, level: str, work: object) -> object:
        """Awaits the work; every end is noted."""
        self.note("begun", level)
        try:
            outcome = await work  # type: ignore[misc]
        except asyncio.CancelledError:
            self.note("cancelled", level)
            raise
        self.note("done", level)
        return outcome


class Waiting(Noting):
    """And waits at the gate."""

    def __init__(self, notebook: str, gate: DeploymentHandle) -> None:
        super().__init__(notebook)
        self._gate = gate


@serve.deployment(max_ongoing_requests=100, **QUICK)
class Leaf(Waiting):
    async def __call__(self) -> None:
        await self.noted("leaf", self._gate.wait.remote())

    async def items(self) -> AsyncIterator[int]:
        """One item, and then it waits."""
        yield 1
        await self.noted("leaf", self._gate.wait.remote())


@serve.deployment(max_ongoing_requests=100, **QUICK)
class Middle(Noting):
    def __init__(self, notebook: str, leaf: DeploymentHandle) -> None:
        super().__init__(notebook)
        self._leaf = leaf

    async def _both(self) -> None:
        await asyncio.gather(self._leaf.remote(), self._leaf.remote())

    async def __call__(self) -> None:
        await self.noted("middle", self._both())

    async def items(self) -> AsyncIterator[int]:
        """What a leaf gives."""
        self.note("begun", "middle")
        try:
            async for item in self._leaf.options(stream=True).items.remote():
                yield item
        except (asyncio.CancelledError, GeneratorExit):
            self.note("cancelled", "middle")
            raise


@serve.deployment(max_ongoing_requests=100, **QUICK)
class Top(Noting):
    def __init__(self, notebook: str, middle: DeploymentHandle) -> None:
        super().__init__(notebook)
        self._middle = middle

    async def __call__(self, request: Request) -> object:
        if "stream" in request.query_params:
            return StreamingResponse(self.items())
        return await self.call()

    async def call(self) -> object:
        return await self.noted("top", self._middle.remote())

    async def items(self) -> AsyncIterator[bytes]:
        self.note("begun", "top")
        try:
            async for item in self._middle.options(stream=True).items.remote():
                yield str(item).encode()
        except (asyncio.CancelledError, GeneratorExit):
            self.note("cancelled", "top")
            raise


@serve.deployment(max_ongoing_requests=100, **QUICK)
class Grouped(Waiting):
    """In a task of a group, which hears of the request's end a few turns of the loop later."""

    async def __call__(self, request: Request) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.noted, "group", self._gate.wait.remote())


def three_levels(path: str) -> serve.Application:
    """The usual tree."""
    return Top.bind(path, Middle.bind(path, Leaf.bind(path, Gate.bind())))


class Tree:
    """The deployments, and what they noted."""

    def __init__(self, deploy: Deployer, folder: Path, make: Callable[[str], serve.Application] = three_levels) -> None:
        self.links: list[socket.socket] = []
        self.notebook = Notebook(folder / "notebook")
        self.app: App = deploy(make(self.notebook.path))

    def ask(self, query: str = "", **headers: str) -> socket.socket:
        """Sends a request and does not wait."""
        link = socket.create_connection(("127.0.0.1", self.app.instance.http_port), timeout=20)
        self.links.append(link)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        link.sendall(request_bytes(f"/{self.app.name}{query}", named))
        return link

    def until(self, how: str, levels: list[str]) -> None:
        """Until these have come to that."""
        try:
            wait_until(lambda: sorted(self.notebook.lines(how)) == sorted(levels), f"{levels} {how}")
        except AssertionError as error:
            raise AssertionError(f"{error}; noted: {Path(self.notebook.path).read_text()!r}") from None

    def check_nothing_runs(self) -> None:
        """No call waits at the gate, and none came through."""
        gate = self.app.of("Gate")
        wait_until(lambda: gate.count.remote().result() == 0, "nobody waits")
        assert self.notebook.lines("done") == []


@pytest.fixture
def tree(deploy: Deployer, tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(deploy, tmp_path)
    yield tree
    for link in tree.links:
        link.close()


def _received(link: socket.socket) -> bytes:
    received = b""
    while piece := link.recv(4096):
        received += piece
    return received


@soak
def test_a_client_that_leaves(tree: Tree) -> None:
    link = tree.ask(x_request_timeout_seconds="0")
    tree.until("begun", LEVELS)
    link.close()
    tree.until("cancelled", LEVELS)
    tree.check_nothing_runs()


@soak
@pytest.mark.parametrize("headers", [{}, {"x_request_timeout_seconds": "1.5"}], ids=["option", "header"])
def test_a_timeout(tree: Tree, headers: dict[str, str]) -> None:
    link = tree.ask(Connection="close", **headers)
    assert _received(link).startswith(b"HTTP/1.1 408 ")
    tree.until("begun", LEVELS)
    tree.until("cancelled", LEVELS)
    tree.check_nothing_runs()


@soak
def test_a_handle_that_cancels(tree: Tree) -> None:
    response = tree.app.handle.call.remote()
    tree.until("begun", LEVELS)
    response.cancel()
    tree.until("cancelled", LEVELS)
    tree.check_nothing_runs()


@soak
@pytest.mark.parametrize("timeout", ["0", "1.5"], ids=["client leaves", "timeout"])
def test_streams_of_streams(tree: Tree, timeout: str) -> None:
    link = tree.ask("?stream", x_request_timeout_seconds=timeout)
    tree.until("begun", ["top", "middle", "leaf"])
    if timeout == "0":
        link.close()
    else:  # cut: no last chunk says that it is whole
        received = _received(link)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert not received.endswith(b"0\r\n\r\n")
    tree.until("cancelled", ["top", "middle", "leaf"])
    tree.check_nothing_runs()


@soak
def test_tasks_of_a_group_hear_of_it_as_a_cancellation(deploy: Deployer, tmp_path: Path) -> None:
    tree = Tree(deploy, tmp_path, lambda path: Grouped.bind(path, Gate.bind()))
    link = tree.ask(x_request_timeout_seconds="0")
    tree.until("begun", ["group"])
    link.close()
    tree.until("cancelled", ["group"])
    tree.check_nothing_runs()
