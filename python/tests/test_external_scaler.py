"""Sizes that something outside sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Deployer
from instances import Instance, embedded, penstock_command
from probes import QUICK
from ray import serve
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=2) as running:
        yield running


@serve.deployment(ray_actor_options={"num_cpus": 0}, **QUICK)
class Plain:
    """Answers at once."""

    def __call__(self) -> str:
        return "ok"


def test_scale(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Plain.bind(), external_scaler_enabled=True)

    def scale(replicas: str) -> str:
        answer = penstock_command("scale", f"{app.name}/Plain", replicas, "--address", instance.address, check=False)
        return answer.stderr

    assert scale("3") == ""
    wait_until(lambda: app.running("Plain") == 3, "there are three")
    assert scale("0") == ""
    wait_until(lambda: app.running("Plain") == 0, "there is none")
    wait_until(lambda: app.status() == "RUNNING", "that is what is wanted")
    assert "Input should be greater than or equal to 0" in scale("-1")
    assert scale("1") == ""
    assert app.handle.remote().result() == "ok"


def test_only_where_it_was_asked_for(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Plain.bind())
    answer = penstock_command("scale", f"{app.name}/Plain", "2", "--address", instance.address, check=False)
    assert answer.returncode == 1
    assert "external_scaler_enabled=false" in answer.stderr
    with pytest.raises(ValueError, match="may have no autoscaling_config"):
        deploy(Plain.options(num_replicas="auto").bind(), external_scaler_enabled=True)
