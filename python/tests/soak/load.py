"""Load on a proxy from one event loop, what it costs the processes, and the figures of a run.

The tests beside this file are short as part of ``./x test`` and long by ``./x soak``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, TypeVar

import pytest
from instances import processes_of

__all__ = [
    "LONG",
    "Answer",
    "Client",
    "Memory",
    "Notebook",
    "proxy_pid",
    "report",
    "request_bytes",
    "scaled",
    "soak",
    "together",
]

LONG = os.environ.get("PENSTOCK_SOAK") == "long"

_T = TypeVar("_T")


def scaled(short: _T, long: _T) -> _T:
    """The size of a run: one of a test, or one of a soak."""
    return long if LONG else short


def soak(test: Callable[..., Any]) -> Callable[..., Any]:
    """A test that may take its time when it is long."""
    return pytest.mark.timeout(scaled(90, 900))(test)


def report(name: str, **figures: Any) -> None:
    """Prints what a run came to (pytest -s, or -rP, shows it)."""
    print(f"{name}: " + ", ".join(f"{key} {_text(value)}" for key, value in figures.items()))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Counter):
        return "{" + ", ".join(f"{key}: {count}" for key, count in sorted(value.items(), key=str)) + "}"
    return str(value)


# ---- processes ----


def proxy_pid() -> int:
    """The process id of the one proxy of this session's instances."""
    (pid,) = (p for p, words in processes_of(os.environ["PENSTOCK_HOME"]).items() if "penstock proxy " in words)
    return pid


def resident_mb(pid: int) -> float:
    """Memory of its own that a process has, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no memory")


class Memory:
    """How much some processes have grown since this was made."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before = {name: resident_mb(pid) for name, pid in pids.items()}
        self.most = dict.fromkeys(pids, 0.0)

    def look(self) -> None:
        """Notes the present growth if it is the largest."""
        for name, pid in self._pids.items():
            self.most[name] = max(self.most[name], resident_mb(pid) - self._before[name])

    def check(self, limit_mb: float) -> dict[str, float]:
        """The growth now; no process may have grown by more."""
        self.look()
        for name, mb in self.most.items():
            assert mb <= limit_mb, f"{name} grew by {mb:.1f} MB; allowed are {limit_mb}"
        return {f"{name}_grew_mb": mb for name, mb in self.most.items()}


class Notebook:
    """A file in which replicas note what they begin and end: a line is one write."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        path.touch()

    def lines(self, first_word: str) -> list[str]:
        """What follows the word, of each line that begins with it."""
        words = (line.split(" ", 1) for line in Path(self.path).read_text().splitlines())
        return [rest for first, rest in words if first == first_word]


# ---- HTTP ----


class Answer(NamedTuple):
    """A reply, and how long it took."""

    status: int
    body: bytes
    seconds: float


def request_bytes(path: str, headers: Optional[dict[str, str]] = None) -> bytes:
    """A GET request."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Client:
    """Connections to a proxy that are used again; for replies with a content-length."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, headers: Optional[dict[str, str]] = None) -> Answer:
        """Asks and waits for the whole answer. ConnectionError when it is cut."""
        began = time.monotonic()
        reader, writer = self._free.pop() if self._free else await self.connect()
        try:
            writer.write(request_bytes(path, headers))
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = await reader.readexactly(int(fields[b"content-length"]))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            writer.close()
            raise ConnectionError(str(error)) from None
        except BaseException:
            writer.close()
            raise
        if fields.get(b"connection") == b"close":
            writer.close()
        else:
            self._free.append((reader, writer))
        return Answer(int(head.split(b" ", 2)[1]), body, time.monotonic() - began)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own."""
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def abandon(self, path: str, after: Awaitable[None]) -> None:
        """Asks, waits for something else, and goes without looking at the answer."""
        _, writer = await self.connect()
        writer.write(request_bytes(path))
        try:
            await after
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):  # the proxy closed first
                await writer.wait_closed()

    async def settle(self) -> None:
        """Until the proxy has seen all that was sent and closed before."""
        assert (await self.get("/-/healthz")).status == 200

    def close(self) -> None:
        """Lets go of all connections."""
        for _, writer in self._free:
            writer.close()
        self._free.clear()


async def together(work: Iterable[Awaitable[_T]], most: int) -> list[_T]:
    """Awaits all of them, at most ``most`` at a time; what they return is in their order."""
    slots = asyncio.Semaphore(most)

    async def one(item: Awaitable[_T]) -> _T:
        async with slots:
            return await item

    return await asyncio.gather(*(one(item) for item in work))
