"""The guide, line by line: ``OMP_NUM_THREADS=12`` at a node's start reaches its replicas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Deployer
from instances import Instance, environment, started
from probes import Probe
from ray import serve


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with started("--num-cpus=4", env=environment(OMP_NUM_THREADS="12")) as running:
        running.add_node("--num-cpus=4", "--labels=who=second", env=environment(OMP_NUM_THREADS="5"))
        running.add_node("--num-cpus=4", "--labels=who=third")
        yield running


def threads_of(deploy: Deployer, *options: dict[str, Any]) -> list[str]:
    targets = [serve.RunTarget(Probe.options(ray_actor_options=each).bind(), deploy.name(), None) for each in options]
    return [handle.remote().result()["env"]["OMP_NUM_THREADS"] for handle in serve.run_many(targets)]


def test_each_nodes_value_reaches_its_replicas(deploy: Deployer, instance: Instance) -> None:
    head = {"num_cpus": 2, "label_selector": {"who": "!in(second,third)"}}
    second = {"num_cpus": 2, "label_selector": {"who": "second"}}
    third = {"num_cpus": 2, "label_selector": {"who": "third"}}
    assert threads_of(deploy, head, second, third) == ["12", "5", "2"]
    assert "OMP_NUM_THREADS=12 [set when the node was started]" in instance.status_text()


def test_what_the_deployment_says_is_nearer(deploy: Deployer) -> None:
    own = {
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "9"}},
        "label_selector": {"who": "second"},
    }
    assert threads_of(deploy, own) == ["9"]
