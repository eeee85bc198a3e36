"""Measures what the kit has no case for, and prints a line of JSON a point, as the kit does.

    wire.py --kit KIT --system SYSTEM --case fastapi|websocket|grpc|idle|ticks|proxykill [--conns 64] [--seconds 3]

Systems: penstock, ray, ray-haproxy, uvicorn; all serve apps/wire.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Optional

import uvloop
from google.protobuf.wrappers_pb2 import StringValue

_APPS = Path(__file__).resolve().parent / "apps"
_IDLE = 10_000
_STREAMS = 200
_TICKS = 200  # of each, as apps/wire.py sends them
_KILLS = 5
_MESSAGE = StringValue(value="sixteen bytes ok").SerializeToString()


def _systems(kit: Any) -> dict[str, dict[str, Any]]:
    """How each system is started, in the kit's words."""
    paths = {"PYTHONPATH": str(_APPS)}
    app = str(_APPS / "wire.py")
    url = "http://127.0.0.1:{port}/"
    known = kit.systems.S
    uvicorn = [word.replace("asgi_app:app", "wire:api") for word in known["uvicorn"]["cmd"]]
    uvicorn[uvicorn.index("--app-dir") + 1] = str(_APPS)
    systems = {
        "penstock": {
            "cmd": [sys.executable, app],
            "env": {"SERVE_MODULE": "penstock.serve", **paths},
            "url": url,
            "control": True,
        },
        "uvicorn": {"cmd": uvicorn, "url": url},
    }
    for name in ("ray", "ray-haproxy"):
        start = known[name]
        systems[name] = {
            "cmd": [start["cmd"][0], app],
            "env": {**start["env"], **paths},
            "url": url,
            "control": True,
        }
    return systems


class _Server:
    """A system while it is measured."""

    def __init__(self, kit: Any, system: str, app: str) -> None:
        self._kit = kit
        self.process = kit.Sys(system, app, sysd=_systems(kit)[system])
        self.process.wait()
        self.process.ready()

    @property
    def port(self) -> int:
        return int(self.process.port)

    def pids(self) -> dict[int, Any]:
        found: dict[int, Any] = self._kit.mine(self.process.mark, self.process.p.pid)
        return found

    def cpu_s(self) -> float:
        return float(self._kit.cpu(self.pids()))

    def wrk(self, connections: int, seconds: int) -> dict[str, Any]:
        figures: dict[str, Any] = self._kit.wrk(self.process, connections, seconds)
        return figures

    def stop(self) -> None:
        self.process.stop()


def _loaded(server: _Server, load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``load`` reports, and the server's CPU time a request."""
    before = server.cpu_s()
    figures = load()
    spent = server.cpu_s() - before
    figures["cpu_us_per_req"] = round(spent * 1e6 / max(1, figures.get("n", 0)), 1)
    return figures


def _fastapi(server: _Server, connections: int, seconds: int) -> dict[str, Any]:
    server.wrk(8, 1)
    return _loaded(server, lambda: server.wrk(connections, seconds))


def _websocket(server: _Server, connections: int, seconds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/websocket_load"
        source = Path(__file__).with_name("websocket_load.cc")
        subprocess.run(["g++", "-O2", "-std=c++20", "-o", program, str(source)], check=True)
        command = [program, str(server.port), "/ws", str(connections), str(seconds)]

        def load() -> dict[str, Any]:
            figures: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            return figures

        return _loaded(server, load)


def _check_grpc(port: int) -> None:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/bench.Noop/Call")
        answer = call(_MESSAGE, metadata=(("application", "bench"),), timeout=30, wait_for_ready=True)
    if answer != _MESSAGE:
        raise RuntimeError(f"gRPC answered {answer!r}")


def _grpc(server: _Server, connections: int, seconds: int) -> dict[str, Any]:
    port = server.port + 1
    _check_grpc(port)
    with tempfile.NamedTemporaryFile() as message:
        message.write(struct.pack("!BI", 0, len(_MESSAGE)) + _MESSAGE)
        message.flush()

        def load() -> dict[str, Any]:
            command = ["h2load", "-t1", f"-c{min(8, connections)}", f"-m{max(1, connections // 8)}", f"-D{seconds}"]
            command += ["-d", message.name, "-H", "content-type: application/grpc", "-H", "te: trailers"]
            command += ["-H", "application: bench", f"http://127.0.0.1:{port}/bench.Noop/Call"]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            done = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", text)
            rate = re.search(r"finished in .*?, ([\d.]+) req/s", text)
            if not done or not rate:
                return {"error": text[-300:]}
            return {"rps": float(rate[1]), "n": int(done[1]), "errors": int(done[2])}

        figures = _loaded(server, load)
    _check_grpc(port)
    return figures


def _proxy(server: _Server) -> int:
    for pid in server.pids():
        if b"proxy" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise RuntimeError("there is no proxy")


def _memory_kb(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def _idle(server: _Server, connections: int, seconds: int) -> dict[str, Any]:
    """Memory of a connection that says nothing after its first request, and what it costs others."""
    proxy = _proxy(server)
    server.wrk(connections, 1)
    before = server.wrk(1, seconds)
    empty_kb = _memory_kb(proxy)

    async def run() -> dict[str, Any]:
        opened = []
        for _ in range(_IDLE):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                return {"error": head.decode(errors="replace")}
            opened.append((reader, writer))
        full_kb = _memory_kb(proxy)
        after = await asyncio.to_thread(server.wrk, 1, seconds)
        return {
            "bytes_each": (full_kb - empty_kb) * 1024 / _IDLE,
            "p50_ms": after["p50_ms"],
            "p50_before_ms": before["p50_ms"],
            "p50_ratio": after["p50_ms"] / before["p50_ms"],
        }

    return asyncio.run(run())


class _Ticks(asyncio.Protocol):
    """Reads one stream and notes when each piece came."""

    def __init__(self, done: asyncio.Future[list[float]]) -> None:
        self._done = done
        self._times: list[float] = []

    def connection_made(self, transport: Any) -> None:
        transport.write(b"GET /ticks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._times += [now] * data.count(b"token ")

    def connection_lost(self, error: Optional[Exception]) -> None:
        if not self._done.done():
            self._done.set_result(self._times)


def _ticks(server: _Server, connections: int, seconds: int) -> dict[str, Any]:
    """Time between two pieces of a stream, over many streams at once: the server's timer is in it."""

    async def run() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        streams: list[asyncio.Future[list[float]]] = []
        for _ in range(_STREAMS):
            done = loop.create_future()
            await loop.create_connection(lambda done=done: _Ticks(done), "127.0.0.1", server.port)
            streams.append(done)
        times = await asyncio.wait_for(asyncio.gather(*streams), 60)
        if any(len(stream) != _TICKS for stream in times):
            return {"error": f"a stream had {min(map(len, times))} of {_TICKS} pieces"}
        gaps = sorted(b - a for stream in times for a, b in zip(stream, stream[1:]))
        return {
            "n": sum(map(len, times)),
            "gap_p50_ms": statistics.median(gaps) * 1e3,
            "gap_p99_ms": gaps[len(gaps) * 99 // 100] * 1e3,
            "gap_max_ms": gaps[-1] * 1e3,
        }

    server.wrk(8, 1)
    return _loaded(server, lambda: uvloop.run(run()))


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return link.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def _proxy_killed(server: _Server, connections: int, seconds: int) -> dict[str, Any]:
    """From kill -9 of the proxy to the next answer."""
    took = []
    for _ in range(_KILLS):
        os.kill(_proxy(server), signal.SIGKILL)
        began = time.perf_counter()
        while not _answers(server.port):
            if time.perf_counter() - began > 30:
                return {"error": "no answer in 30 s"}
            time.sleep(0.002)
        took.append(time.perf_counter() - began)
    return {"recovered_s": statistics.median(took), "worst_s": max(took), "n": len(took)}


_CASES: dict[str, tuple[str, Callable[[_Server, int, int], dict[str, Any]]]] = {
    "fastapi": ("asgi", _fastapi),
    "websocket": ("asgi", _websocket),
    "grpc": ("grpc", _grpc),
    "idle": ("grpc", _idle),
    "ticks": ("asgi", _ticks),
    "proxykill": ("grpc", _proxy_killed),
}


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kit", type=Path, required=True)
    parser.add_argument("--system", required=True)
    parser.add_argument("--case", choices=_CASES, required=True)
    parser.add_argument("--conns", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    sys.path.insert(0, str(options.kit.resolve()))
    import bench as kit

    signal.alarm(150)
    app, measure = _CASES[options.case]
    point: dict[str, Any] = {"system": options.system, "case": options.case, "conns": options.conns}
    try:
        server = _Server(kit, options.system, app)
        try:
            point.update(measure(server, options.conns, options.seconds))
        finally:
            server.stop()
    except Exception as error:
        point["error"] = repr(error)[:300]
    print(json.dumps(point), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
