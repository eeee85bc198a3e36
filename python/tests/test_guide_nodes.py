"""The guide, line by line: resources that only some nodes have."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from conftest import App, Deployer
from instances import Instance, Node, node_rows, started
from probes import Probe
from ray import serve
from waiting import in_background, wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with started("--num-cpus=2") as running:
        running.add_node("--num-cpus=3", "--resources", '{"custom_resource": 2}', "--labels", "zone=b")
        yield running


@pytest.fixture
def special(instance: Instance) -> Node:
    """The node that has custom_resource."""
    return instance.nodes[0]


def probe(**ray_actor_options: Any) -> serve.Deployment:
    return Probe.options(ray_actor_options=ray_actor_options)


def node_of(app: App) -> str:
    return str(app.handle.remote().result()["node"])


def test_each_node_has_what_its_flags_say(instance: Instance, special: Node) -> None:
    rows = node_rows(instance.status_text())
    assert rows["head", "CPU"] == ("2", "0", "2")
    assert rows[special.name, "CPU"] == ("3", "0", "3")
    assert rows[special.name, "custom_resource"] == ("2", "0", "2")
    assert ("head", "custom_resource") not in rows
    assert ray.cluster_resources()["CPU"] == 5
    labels = {node["NodeID"]: node["Labels"] for node in ray.nodes()}
    assert labels[special.id]["zone"] == "b"


def test_a_custom_resource_keeps_a_deployment_on_its_node(deploy: Deployer, instance: Instance, special: Node) -> None:
    app = deploy(probe(resources={"custom_resource": 2}).bind())
    assert node_of(app) == special.id
    assert node_rows(instance.status_text())[special.name, "custom_resource"] == ("2", "2", "0")
    others = deploy(Probe.options(num_replicas=2).bind())  # spread over both
    assert {replica["node_id"] for replica in others.details("Probe")["replicas"]} == {
        node["NodeID"] for node in ray.nodes() if node["Alive"]
    }


def test_too_little_of_it_waits_and_status_says_which_node_lacks_what(
    deploy: Deployer, instance: Instance, special: Node
) -> None:
    one_each = probe(resources={"custom_resource": 2}).options(num_replicas=2)
    app = deploy(one_each.bind(), wait=False)
    wait_until(lambda: app.running("Probe") == 1, "the first has all there is")
    (waiting,) = (r for r in app.details("Probe")["replicas"] if r["state"] == "STARTING")
    reason = waiting["pending"]["reason"]
    assert waiting["pending"]["code"] == "fits_later"
    assert "node 'head'" in reason
    assert f"node '{special.name}'" in reason
    assert reason.count("custom_resource") == 2
    assert f"waits: {reason}" in instance.status_text()
    assert reason in app.details("Probe")["message"]
    assert app.status() == "DEPLOYING"
    assert app.get().json()["node"] == special.id  # what runs serves meanwhile


def test_more_than_any_node_has_waits_too(deploy: Deployer) -> None:
    app = deploy(probe(resources={"custom_resource": 5}).bind(), wait=False)
    (waiting,) = app.details("Probe")["replicas"]
    assert waiting["pending"]["code"] == "never_fits"
    assert app.status() == "DEPLOYING"


def test_whoever_waits_for_it_is_told(deploy: Deployer, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("ray.serve")
    logger.addHandler(caplog.handler)
    try:
        running = in_background(deploy, probe(resources={"custom_resource": 5}).bind(), name="impossible")
        wait_until(lambda: "waits: " in caplog.text, "the reason is said")
    finally:
        logger.removeHandler(caplog.handler)
    (words,) = (r.getMessage() for r in caplog.records if "waits: " in r.getMessage())
    assert words.startswith("Deployment 'Probe' of application 'impossible' waits: ")
    assert "custom_resource" in words
    serve.delete("impossible")
    with pytest.raises(RuntimeError, match="impossible"):
        running.result(timeout=20)


def test_it_starts_the_moment_the_resource_is_freed(deploy: Deployer, special: Node) -> None:
    holder = deploy(probe(resources={"custom_resource": 2}).bind())
    late = deploy(probe(resources={"custom_resource": 1}).bind(), wait=False)
    assert late.details("Probe")["replicas"][0]["state"] == "STARTING"
    call = late.handle.remote()  # waits with it
    serve.delete(holder.name)
    assert call.result(timeout_s=20)["node"] == special.id
    wait_until(lambda: late.status() == "RUNNING", "nothing is missing any more")


def test_a_label_selector_chooses_the_node(deploy: Deployer, special: Node) -> None:
    assert node_of(deploy(probe(label_selector={"zone": "b"}).bind())) == special.id
    assert node_of(deploy(probe(label_selector={"zone": "!b"}).bind())) != special.id


def test_a_node_can_be_named_by_its_address(deploy: Deployer, special: Node) -> None:
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    for node, address in addresses.items():
        assert node_of(deploy(probe(resources={f"node:{address}": 0.01}).bind())) == node


def test_halves_share_the_cpus_and_one_too_many_waits(deploy: Deployer, instance: Instance) -> None:
    halves = probe(num_cpus=0.5, label_selector={"zone": "!b"}).options(num_replicas=5)
    app = deploy(halves.bind(), wait=False)
    wait_until(lambda: app.running("Probe") == 4, "two CPUs are four halves")
    assert node_rows(instance.status_text())["head", "CPU"] == ("2", "2", "0")
    (waiting,) = (r for r in app.details("Probe")["replicas"] if r["state"] == "STARTING")
    assert "CPU" in waiting["pending"]["reason"]


def test_a_node_that_joins_takes_what_waits(deploy: Deployer, instance: Instance) -> None:
    app = deploy(probe(resources={"late_resource": 1}).bind(), wait=False)
    assert app.details("Probe")["replicas"][0]["pending"]["code"] == "never_fits"
    node = instance.add_node("--num-cpus=1", "--resources", '{"late_resource": 1}')
    wait_until(lambda: app.status() == "RUNNING", "it has a node now")
    assert node_of(app) == node.id
    instance.end_node(node)
