"""Who makes room for whom when there is not enough for all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Deployer
from instances import Instance, embedded, penstock_command
from probes import QUICK
from ray import serve
from waiting import in_background, wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=4) as running:
        yield running


@serve.deployment(ray_actor_options={"num_cpus": 1}, **QUICK)
class Plain:
    """Answers at once."""

    def __call__(self) -> str:
        return "ok"


def elastic(least: int, count: int, **options: Any) -> serve.Deployment:
    """Has ``count`` replicas without any load, and is guaranteed ``least``."""
    config = {"min_replicas": least, "initial_replicas": count, "max_replicas": count}
    return Plain.options(autoscaling_config=config, **options)


def test_what_is_guaranteed_comes_first(deploy: Deployer, instance: Instance) -> None:
    batch = deploy(elastic(1, 4).bind())
    answers = [in_background(batch.get) for _ in range(20)]
    shop = deploy(Plain.options(num_replicas=2).bind())
    assert shop.running("Plain") == 2
    assert batch.running("Plain") == 2
    assert [answer.result().status_code for answer in answers] == [200] * 20
    assert batch.status() == "RUNNING"
    explain = ("explain", "scaling", f"{batch.name}/Plain", "--address", instance.address)
    told = json.loads(penstock_command(*explain, "--json").stdout)
    assert [(change["from"], change["to"], change["rule"]) for change in told["changes"]] == [
        (4, 3, "made_room"),
        (3, 2, "made_room"),
    ]
    assert f"made room for deployment 'Plain' in application '{shop.name}'" in told["changes"][0]["made_room"]


def test_a_priority_puts_one_before_another(deploy: Deployer) -> None:
    low = deploy(elastic(1, 4).bind())
    high = deploy(elastic(1, 3, priority=1).bind())
    wait_until(lambda: high.running("Plain") == 3, "all of it has room")
    assert low.running("Plain") == 1
    last = deploy(Plain.options(num_replicas=1, priority=1000).bind(), wait=False)
    wait_until(lambda: last.running("Plain") == 1, "a minimum goes before it")
    assert high.running("Plain") == 2
    assert low.running("Plain") == 1
