"""The controller's state database is damaged while it is dead: what serves goes on serving."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Deployer
from instances import Instance, penstock_command, processes_of, started
from probes import Probe
from ray import serve
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """A started one: its controller has a database in its folder."""
    with started("--num-cpus=4") as one:
        yield one


def controller() -> int:
    """The controller's process; 0 while there is none."""
    for pid, command in processes_of(os.environ["PENSTOCK_HOME"]).items():
        if re.search(r"penstock controller ", command):
            return pid
    return 0


def folder() -> Path:
    """The instance's."""
    return Path(os.environ["PENSTOCK_HOME"], "current").resolve()


def damage(database: Path) -> None:
    """Kills the controller, and the next one finds garbage."""
    killed = controller()
    os.kill(killed, signal.SIGSTOP)  # else it may be back before the garbage is there
    for part in ("", "-wal"):
        Path(f"{database}{part}").write_bytes(b"garbage " * 1000)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: controller() not in (0, killed), "another one takes over")


def answers(instance: Instance) -> bool:
    """Whether the controller does."""
    return penstock_command("status", "--address", instance.address, check=False).returncode == 0


def test_requests_are_answered_all_along_and_the_status_tells(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Probe.options(num_replicas=2).bind())
    before = {replica["pid"] for replica in app.details("Probe")["replicas"]}
    assert len(before) == 2
    seen: list[int] = []
    failed: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            reply = app.get()
            if reply.ok:
                seen.append(reply.json()["pid"])
            else:
                failed.append(reply.text)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        damage(folder() / "state.db")
        wait_until(lambda: answers(instance), "it answers")
        wait_until(lambda: app.name in instance.status()["applications"], "it knows the application again")
        wait_until(lambda: app.status() == "RUNNING", "which runs")
        so_far = len(seen)
        wait_until(lambda: len(seen) > so_far + 20, "requests go on")
    finally:
        over.set()
        asking.join()
    assert failed == []
    assert set(seen) <= before
    assert {replica["pid"] for replica in app.details("Probe")["replicas"]} == before

    (kept,) = (path for path in folder().glob("state.db.corrupt-*") if path.suffix[-4:] not in ("-wal", "-shm"))
    assert kept.read_bytes().startswith(b"garbage")
    text = instance.status_text()
    assert "NOTICE: The state database was lost: " in text
    assert f"It is kept as '{kept}'." in text
    assert instance.url("") == f"http://{instance.status()['proxy_addresses'].popitem()[1]}"

    # It is an instance like any other: it deploys, and the next controller remembers.
    other = deploy(Probe.options(name="Other").bind())
    assert other.get().ok
    killed = controller()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: controller() not in (0, killed) and answers(instance), "another one takes over")
    wait_until(lambda: (app.status(), other.status()) == ("RUNNING", "RUNNING"), "it knows both")
    assert {replica["pid"] for replica in app.details("Probe")["replicas"]} == before
    serve.delete(app.name)
    wait_until(lambda: not before & set(processes_of(os.environ["PENSTOCK_HOME"])), "its replicas end")
