"""`penstock drain`: a node is emptied while its replicas serve."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from conftest import Deployer
from instances import Instance, node_rows, penstock_command, started
from probes import Probe
from waiting import in_background, wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with started("--num-cpus=2") as running:
        running.add_node("--num-cpus=4")
        yield running


def test_a_node_is_emptied_while_its_replicas_serve(deploy: Deployer, instance: Instance) -> None:
    node = instance.nodes[0]
    app = deploy(Probe.options(num_replicas=2, ray_actor_options={"num_cpus": 1}).bind())
    where = [replica["node_id"] for replica in app.details("Probe")["replicas"]]
    assert where.count(node.id) == 1
    over = threading.Event()

    def ask() -> list[int]:
        statuses = []
        while not over.is_set():
            statuses.append(app.get().status_code)
        return statuses

    asked = in_background(ask)
    done = penstock_command("drain", node.name, "--wait", "--address", instance.address)
    assert done.stdout == f"node '{node.name}' is empty\n"
    assert node_rows(instance.status_text())[f"{node.name} (draining)", "CPU"] == ("4", "0", "4")
    wait_until(lambda: app.running("Probe") == 2, "both serve")
    over.set()
    statuses = asked.result(timeout=30)
    assert statuses
    assert set(statuses) == {200}
    waits = deploy(Probe.options(ray_actor_options={"num_cpus": 1}).bind(), wait=False)
    wait_until(lambda: "is draining" in waits.details("Probe")["message"], "it is not placed there")
    undone = penstock_command("drain", node.name, "--undo", "--address", instance.address)
    assert undone.stdout == f"node '{node.name}' takes replicas again\n"
    wait_until(lambda: waits.running("Probe") == 1, "it has its place")


def test_a_node_that_is_not_there(instance: Instance) -> None:
    done = penstock_command("drain", "nowhere", "--address", instance.address, check=False)
    assert done.returncode == 1
    assert "node: there is no 'nowhere', nodes are 'head'" in done.stderr
