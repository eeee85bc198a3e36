"""Starting an instance, finding one, and asking its controller.

A script without an instance starts its own, which ends with the script: the agent holds one end
of a pipe, the script the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from typing import Any, Optional

from penstock import _core, _process

__all__ = ["Instance", "call", "connect", "current", "disconnect", "ensure", "executable", "start_embedded"]


@dataclass
class Instance:
    """A running instance, as this process knows it."""

    folder: str
    address: str
    agent: Optional[subprocess.Popen[bytes]] = None  # of an instance that this process started
    lifeline: int = -1  # closed: the instance ends

    @property
    def embedded(self) -> bool:
        """True when this process started it and it ends with it."""
        return self.agent is not None


_current: Optional[Instance] = None


def executable() -> str:
    """Path of the ``penstock`` program: PENSTOCK_BINARY, beside this Python, or on the PATH."""
    named = os.environ.get("PENSTOCK_BINARY")
    if named:
        return named
    beside = os.path.join(sysconfig.get_path("scripts"), "penstock")
    found = beside if os.path.exists(beside) else shutil.which("penstock")
    if found is None:
        raise RuntimeError(f"the program `penstock` is neither at {beside} nor on the PATH")
    return found


def current() -> Optional[Instance]:
    """The instance this process is connected to, if any."""
    return _current


def _adopt(instance: Instance) -> Instance:
    global _current
    _current = instance
    _process.set_folder(instance.folder)
    return instance


def _named_address() -> str:
    return os.environ.get("PENSTOCK_ADDRESS") or os.environ.get("RAY_ADDRESS") or ""


def connect(address: str = "") -> Instance:
    """Connects to a running instance. KeyError when none runs at the address ("": the started one)."""
    inside = os.environ.get("PENSTOCK_INSTANCE")
    info = json.loads(_core.find_instance(address or _named_address() or inside or ""))
    return _adopt(Instance(folder=info["folder"], address=info["address"]))


def start_embedded(
    num_cpus: Optional[float] = None,
    num_gpus: Optional[float] = None,
    memory: Optional[float] = None,
    object_store_memory: Optional[float] = None,
    resources: Optional[dict[str, float]] = None,
    labels: Optional[dict[str, str]] = None,
    metrics_export_port: Optional[int] = None,
) -> Instance:
    """Starts an instance of our own. RuntimeError or ValueError with the reason when it cannot."""
    command = [executable(), "guard", "--head", "--embedded", "--python", sys.executable]
    for flag, amount in (
        ("--num-cpus", num_cpus),
        ("--num-gpus", num_gpus),
        ("--memory", memory),
        ("--object-store-memory", object_store_memory),
        ("--metrics-export-port", metrics_export_port),
    ):
        if amount is not None:
            command += [flag, str(amount)]
    if resources:
        command += ["--resources", json.dumps(resources)]
    if labels:
        command += ["--labels", ",".join(f"{k}={v}" for k, v in labels.items())]
    agent_end, lifeline = os.pipe()
    report, agent_report = os.pipe()
    command += ["--lifeline-fd", str(agent_end), "--report-fd", str(agent_report)]
    agent = subprocess.Popen(
        command,
        pass_fds=(agent_end, agent_report),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the script's; its end reaches the agent by the pipe
    )
    os.close(agent_end)
    os.close(agent_report)
    with os.fdopen(report) as reader:
        line = reader.readline()
    answer: dict[str, Any] = json.loads(line) if line else {"ok": False}
    if not answer["ok"]:
        os.close(lifeline)
        _, words = agent.communicate()
        message = answer.get("message") or words.decode(errors="replace").strip()
        raise ValueError(message or f"`{command[0]} guard` ended with {agent.returncode}")
    assert agent.stderr is not None
    agent.stderr.close()
    return _adopt(Instance(answer["folder"], answer["address"], agent=agent, lifeline=lifeline))


def ensure() -> Instance:
    """The instance of this process: connected, else found, else started with what the machine has."""
    if _current is not None:
        return _current
    try:
        return connect()
    except KeyError:
        if _named_address():
            raise
    return start_embedded()


def disconnect() -> None:
    """Forgets the instance; one that this process started ends, with all its processes."""
    global _current
    instance, _current = _current, None
    _process.set_folder(None)
    if instance is None or instance.agent is None:
        return
    os.close(instance.lifeline)
    instance.agent.wait()


def call(method: str, params: Optional[dict[str, Any]] = None, blob: bytes = b"", timeout_s: float = 60) -> Any:
    """Asks the controller of the current instance. A negative time-out waits for ever.

    RuntimeError without an instance; errors of the controller as the exceptions they stand for.
    """
    folder = _process.folder()
    if folder is None:
        raise RuntimeError("There is no Penstock instance: call serve.start() or serve.run().")
    text, _ = _core.call_once(folder, method, json.dumps(params or {}), blob, timeout_s)
    return json.loads(text)
