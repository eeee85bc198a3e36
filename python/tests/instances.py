"""Instances for tests: a script's own, or started by command and with several nodes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import ray
from ray import serve
from waiting import wait_until

import penstock
from penstock import _instance

__all__ = [
    "PENSTOCK",
    "SHIM",
    "Instance",
    "Node",
    "embedded",
    "environment",
    "free_port",
    "node_rows",
    "own_home",
    "penstock_command",
    "processes_of",
    "run_script",
    "started",
]

PENSTOCK = _instance.executable()
SHIM = str(Path(penstock.__file__).parent / "_shim")

# Variables by which a shell could reach into a test.
_OURS = (
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "PENSTOCK_ADDRESS",
    "PENSTOCK_INSTANCE",
    "PYTHONPATH",
    "RAY_ADDRESS",
)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    """The environment of a user's shell: nothing in it but what the test says."""
    plain = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {**plain, **changes}


@contextmanager
def own_home() -> Iterator[str]:
    """A PENSTOCK_HOME that no other test sees. Its processes are gone at the end."""
    home = tempfile.mkdtemp(prefix="pt-", dir="/tmp")  # short: sockets live in it
    try:
        yield home
    finally:
        for pid in processes_of(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


def processes_of(home: str) -> dict[int, str]:
    """Every process that was started with this PENSTOCK_HOME: its id and its command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:  # it has just ended, or is another user's
            continue
        if f"PENSTOCK_HOME={home}".encode() in variables and command:
            found[int(entry.name)] = command
    return found


def penstock_command(
    *arguments: str, env: Optional[dict[str, str]] = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs ``penstock`` to its end; its words are in the AssertionError when it fails."""
    done = subprocess.run([PENSTOCK, *arguments], env=env or environment(), capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, f"penstock {arguments}: {done.stdout}{done.stderr}"
    return done


def run_script(
    folder: Path, text: str, *, env: Optional[dict[str, str]] = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a program as a user does: ``penstock python script.py`` in its folder."""
    script = folder / "script.py"
    script.write_text(text)
    done = subprocess.run(
        [PENSTOCK, "python", script.name],
        cwd=folder,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not check or done.returncode == 0, f"{text}\n---\n{done.stdout}{done.stderr}"
    return done


@dataclass
class Node:
    """A logical node that a test added."""

    pid: int
    name: str
    id: str


@dataclass
class Instance:
    """A running instance that this process is connected to."""

    address: str
    http_port: int = 0
    nodes: list[Node] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        """An address of its proxy."""
        return f"http://127.0.0.1:{self.http_port}{path}"

    def status_text(self) -> str:
        """What ``penstock status`` prints."""
        return penstock_command("status", "--address", self.address).stdout

    def status(self) -> dict[str, Any]:
        """What ``penstock status --json`` prints."""
        text = penstock_command("status", "--json", "--address", self.address).stdout
        status: dict[str, Any] = json.loads(text)
        return status

    def deployment(self, app: str, name: str) -> dict[str, Any]:
        """One deployment of it."""
        details: dict[str, Any] = self.status()["applications"][app]["deployments"][name]
        return details

    def add_node(self, *flags: str, env: Optional[dict[str, str]] = None) -> Node:
        """Adds a logical node by command."""
        before = {node["id"] for node in self.status()["cluster"]["nodes"]}
        penstock_command("start", f"--address={self.address}", *flags, env=env)
        (new,) = (n for n in self.status()["cluster"]["nodes"] if n["id"] not in before)
        # A replica that is just being started still has its agent's command, and is younger.
        agent = min(
            pid
            for pid, command in processes_of(os.environ["PENSTOCK_HOME"]).items()
            if "penstock node " in command and f"--node-name {new['name']}" in command
        )
        node = Node(agent, new["name"], new["id"])
        self.nodes.append(node)
        return node

    def alive_nodes(self) -> set[str]:
        """Ids of the nodes that are there."""
        return {node["id"] for node in self.status()["cluster"]["nodes"] if node["alive"]}

    def end_node(self, node: Node, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends a node that a test added; it is gone from the instance afterwards."""
        self.nodes.remove(node)
        os.kill(node.pid, how)
        wait_until(lambda: node.id not in self.alive_nodes(), f"{node.name} is gone")


@contextmanager
def embedded(
    http_options: Optional[dict[str, Any]] = None, grpc_options: Optional[dict[str, Any]] = None, **node: Any
) -> Iterator[Instance]:
    """An instance of this process's own: ``node`` is what ``ray.init`` takes."""
    context = ray.init(**node)
    try:
        port = free_port()
        serve.start(http_options={"port": port, **(http_options or {})}, grpc_options=grpc_options)
        yield Instance(context["address"], port)
    finally:
        ray.shutdown()


@contextmanager
def started(*flags: str, env: Optional[dict[str, str]] = None) -> Iterator[Instance]:
    """An instance started by ``penstock start --head``, and this process connected to it."""
    port = free_port()
    words = penstock_command("start", "--head", "--port", str(port), *flags, env=env).stdout
    address = f"127.0.0.1:{port}"
    assert f"Penstock runs at {address}" in words
    try:
        ray.init(address=address)
        http_port = free_port()
        serve.start(http_options={"port": http_port})
        yield Instance(address, http_port)
    finally:
        ray.shutdown()
        penstock_command("stop", "--address", address)


def node_rows(text: str) -> dict[tuple[str, str], tuple[str, str, str]]:
    """The table of nodes in a status text: (node, resource) to (total, reserved, free)."""
    rows = {}
    lines = iter(text.splitlines())
    assert next(lines).split() == [
        "NODE",
        "RESOURCE",
        "TOTAL",
        "RESERVED",
        "FREE",
        "FREE",
        "PER",
        "DEVICE",
    ]
    node = ""
    for line in lines:
        if not line:
            break
        cells = re.split(r"\s{2,}", line.rstrip())
        if len(cells) < 5:
            continue  # a note: labels, or that the node is gone
        node = cells[0] or node
        rows[node, cells[1]] = (cells[2], cells[3], cells[4])
    return rows
