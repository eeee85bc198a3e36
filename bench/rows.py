"""What is measured and what it is held to: one row a claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

__all__ = ["OWN_CASES", "SETS", "Row"]


@dataclass(frozen=True)
class Row:
    """One figure of ours, alone or over a peer's of the same round."""

    label: str
    case: str  # of the kit: noop, cold, mem ...
    metric: str  # key of the kit's JSON line; a dot goes into a nested one
    conns: Optional[int] = None  # connections; None where the case has none
    peer: Optional[str] = None  # None: the figure itself is held to the bar
    peer_case: Optional[str] = None  # None: the same case
    at_least: Optional[float] = None
    at_most: Optional[float] = None
    unit: str = ""
    ours: str = "penstock"
    flags: tuple[str, ...] = ()

    @property
    def bar(self) -> str:
        """The bar as text."""
        sign, value = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        peer = f"x {self.peer}" + (f" {self.peer_case}" if self.peer_case else "")
        return f"{sign} {value:g}{peer if self.peer else ' ' + self.unit}"

    def holds(self, value: float) -> bool:
        """Whether ``value`` passes the bar."""
        if self.at_least is not None:
            return value >= self.at_least
        assert self.at_most is not None
        return value <= self.at_most


_FIRST = [
    Row("process start to first 200", "cold", "cold_s", at_most=1.0, unit="s"),
    Row("the same, beside Ray Serve", "cold", "cold_s", peer="ray", at_most=0.1),
    Row("memory of everything, one no-op replica", "mem", "pss_mb", at_most=90, unit="MB PSS"),
    Row("the same, beside Ray Serve", "mem", "pss_mb", peer="ray", at_most=0.1),
    Row("no-op requests/s, 16 connections", "noop", "rps", 16, peer="ray", at_least=50),
    Row("no-op requests/s, 64 connections", "noop", "rps", 64, peer="ray", at_least=50),
]

# The last two are the fastest of the other peers of the kit.
_NOOP_PEERS = {"nginx": 0.5, "uvicorn-raw": 1.7, "ray-haproxy": 12.0, "ray": 120.0, "granian-raw": 1.0, "robyn": 1.0}

_NOOP = [
    Row(f"no-op ({kind}), {conns} connections", case, "rps", conns, peer=peer, at_least=bar)
    for case, kind in (("noop", "async"), ("noopsync", "sync"))
    for conns in (16, 64, 256)
    for peer, bar in _NOOP_PEERS.items()
    if (case, peer) != ("noopsync", "robyn")  # it has no such case in the kit
]

_PATH = [
    *_NOOP,
    Row("server CPU per no-op request, 64 connections", "noop", "cpu_us_per_req", 64, at_most=16, unit="us"),
    # The bar above is of a machine on which nginx takes 7 us.
    Row("the same, beside nginx", "noop", "cpu_us_per_req", 64, peer="nginx", at_most=2.3),
    Row("p50 at 1 connection", "noop", "p50_ms", 1, peer="nginx", at_most=1.8),
    Row("p99 at 256 connections", "noop", "p99_ms", 256, peer="nginx", at_most=3.0),
    Row("5 ms async sleep, 64 connections (limit 12,800/s)", "sleep5", "rps", 64, at_least=9600, unit="/s"),
    Row("5 ms async sleep, 256 connections", "sleep5", "rps", 256, peer="uvicorn", at_least=4.0),
    Row("echo 100 KB, 16 connections", "echo100k", "rps", 16, peer="uvicorn-raw", at_least=1.3),
    Row("echo 10 MB, 1 connection", "echo10m", "rps", 1, peer="uvicorn-raw", at_least=1.5),
    Row("1,000-chunk streams, 16 connections", "stream", "rps", 16, peer="uvicorn", at_least=1.5),
    Row("handle in a replica, p50", "handle", "lat.p50_us", at_most=150, unit="us"),
    Row("handle, gather(100)", "handle", "batch100.rps", at_least=18000, unit="calls/s"),
    Row("handle, stream chunks", "handle", "stream.chunks_per_s", peer="ray", at_least=20),
    Row("driver .result(), p50", "handle", "driver_sync.p50_us", peer="ray", at_most=0.1),
    Row("HTTP -> handle -> child", "comp", "rps", 64, peer="penstock", peer_case="noop", at_least=0.5),
    Row("idle CPU, one no-op app", "mem", "idle_cpu_pct", at_most=0.3, unit="% of a core"),
    Row("memory, one no-op app", "mem", "pss_mb", at_most=60, unit="MB PSS"),
]

# Measured by wire.py: the kit has no cases for them.
_WIRE = [
    Row("FastAPI ingress, the same app", "fastapi", "rps", 64, peer="uvicorn", at_least=1.8),
    Row("FastAPI ingress, the same app", "fastapi", "rps", 64, peer="ray-haproxy", at_least=3.0),
    Row("WebSocket echo, messages/s", "websocket", "rps", 64, peer="uvicorn", at_least=2.0),
    Row("gRPC unary, a servicer of one's own", "grpc", "rps", 64, peer="ray", at_least=20.0),
    Row("10,000 idle connections, each", "idle", "bytes_each", 64, at_most=8192, unit="bytes"),
    Row("p50 of an active one, beside that without them", "idle", "p50_ratio", 64, at_most=1.1, unit="x"),
    Row("200 streams of 5 ms ticks, p99 from one to the next", "ticks", "gap_p99_ms", 64, at_most=10, unit="ms"),
    Row("kill -9 of the proxy to the next answer", "proxykill", "worst_s", 64, at_most=1.0, unit="s"),
]

SETS: dict[str, list[Row]] = {"first": _FIRST, "path": _PATH, "wire": _WIRE}
OWN_CASES = frozenset(row.case for row in _WIRE)
