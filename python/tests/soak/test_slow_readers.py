"""A long stream to a client that reads slowly: the generator waits, and nobody stores it."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from conftest import App, Deployer
from fastapi import FastAPI
from instances import Instance, embedded
from load import Memory, proxy_pid, report, request_bytes, scaled, soak
from probes import QUICK
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse
from waiting import wait_until

PIECE = 64 << 10
TOTAL = scaled(64, 1024) << 20
CHECKS = scaled(4, 16)
# The kernel's buffers of two sockets, the credit of a stream, and what is being handed on.
MOST_AHEAD = 12 << 20
MOST_GROWTH_MB = 16


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


class Counting:
    """Pieces of a stream, and how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def pieces(self, piece: bytes) -> Iterator[bytes]:
        """From a plain generator."""
        for _ in range(TOTAL // PIECE):
            self.taken += 1
            yield piece

    async def pieces_async(self, piece: bytes) -> AsyncIterator[bytes]:
        """From an asynchronous one."""
        for item in self.pieces(piece):
            yield item


EVENT = b"data: " + b"e" * (PIECE - 8) + b"\n\n"


@serve.deployment(max_ongoing_requests=10, **QUICK)
class Streams:
    """Streams without a framework."""

    def __init__(self) -> None:
        self._count = Counting()

    def __call__(self, request: Request) -> StreamingResponse:
        kind = request.query_params["kind"]
        self._count.taken = 0
        if kind == "sync":
            return StreamingResponse(self._count.pieces(b"s" * PIECE))
        if kind == "async":
            return StreamingResponse(self._count.pieces_async(b"a" * PIECE))
        return StreamingResponse(self._count.pieces_async(EVENT), media_type="text/event-stream")

    def taken(self) -> int:
        """How many pieces were taken of the last stream."""
        return self._count.taken


app = FastAPI()


@serve.deployment(max_ongoing_requests=10, **QUICK)
@serve.ingress(app)
class FastStreams:
    """The same behind FastAPI."""

    def __init__(self) -> None:
        self._count = Counting()

    @app.get("/")
    def stream(self, kind: str) -> StreamingResponse:
        self._count.taken = 0
        return StreamingResponse(self._count.pieces_async(EVENT), media_type="text/event-stream")

    def taken(self) -> int:
        """How many pieces were taken of the last stream."""
        return self._count.taken


class SlowReader:
    """Reads a reply in bits, its chunks included."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self._socket.settimeout(20)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(request_bytes(path, {"Connection": "close"}))
        self.received = 0

    def read(self, size: int) -> int:
        """So much more, or to the end."""
        until = self.received + size
        while self.received < until and (piece := self._socket.recv(min(1 << 20, until - self.received))):
            self.received += len(piece)
        return self.received

    def close(self) -> None:
        self._socket.close()


def _settled(app: App, name: str) -> int:
    """How many bytes were made once no more are being made."""
    taken = app.of(name).taken
    last = [-1, 0.0]

    def quiet() -> bool:
        now = taken.remote().result()
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return time.monotonic() - last[1] > 0.3

    wait_until(quiet, "the generator waits")
    return int(last[0]) * PIECE


@pytest.mark.parametrize("kind", ["sync", "async", "sse", "fastapi-sse"])
@soak
def test_the_generator_is_held_back_and_memory_stays(deploy: Deployer, kind: str) -> None:
    target: Any = FastStreams if kind == "fastapi-sse" else Streams
    app = deploy(target.bind())
    (replica,) = app.details(target.name)["replicas"]
    memory = Memory(proxy=proxy_pid(), replica=replica["pid"])
    reader = SlowReader(app.instance.http_port, f"/{app.name}/?kind={kind}")
    ahead = 0
    for _ in range(CHECKS):
        ahead = max(ahead, _settled(app, target.name) - reader.received)
        memory.look()
        reader.read(TOTAL // CHECKS)
    assert reader.read(TOTAL) > TOTAL  # the rest, and what frames it
    reader.close()
    growth = memory.check(MOST_GROWTH_MB)
    report(f"slow reader, {kind}", total_mb=TOTAL >> 20, most_ahead_mb=ahead / (1 << 20), **growth)
    assert 0 < ahead <= MOST_AHEAD < TOTAL // 2


@soak
def test_a_reader_that_is_always_a_little_behind(deploy: Deployer) -> None:
    """Something is always unsent, so what was sent has to be forgotten meanwhile."""
    app = deploy(Streams.bind())
    (replica,) = app.details("Streams")["replicas"]
    memory = Memory(proxy=proxy_pid(), replica=replica["pid"])
    reader = SlowReader(app.instance.http_port, f"/{app.name}/?kind=async")
    while reader.received < TOTAL:
        reader.read(PIECE)
        time.sleep(0.001)
    growth = memory.check(MOST_GROWTH_MB)
    reader.close()
    report("reader a little behind", total_mb=TOTAL >> 20, **growth)


@soak
def test_a_reader_that_leaves_ends_the_generator(deploy: Deployer) -> None:
    app = deploy(Streams.bind())
    reader = SlowReader(app.instance.http_port, f"/{app.name}/?kind=async")
    reader.read(1 << 20)
    taken = _settled(app, "Streams")
    reader.close()
    wait_until(lambda: _settled(app, "Streams") <= taken + PIECE, "nothing more is made")
    slots = [app.of("Streams").taken.remote() for _ in range(10)]
    assert len([slot.result(timeout_s=20) for slot in slots]) == 10
