"""Devices and amounts that the environment of a starting node decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from conftest import Deployer
from instances import environment, free_port, penstock_command, started
from probes import Probe


@contextmanager
def deploying(*flags: str, **variables: str) -> Iterator[Deployer]:
    """Deploys on an instance that was started with these variables."""
    with started(*flags, env=environment(**variables)) as instance:
        yield Deployer(instance)


def view_of(deploy: Deployer, **options: Any) -> dict[str, Any]:
    view: dict[str, Any] = deploy(Probe.options(ray_actor_options=options).bind()).handle.remote().result()
    return view


def test_the_opt_out_leaves_the_variable_alone() -> None:
    opt_out = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}
    with deploying("--num-gpus=2", **opt_out) as deploy:
        view = view_of(deploy, num_gpus=1)
        assert "CUDA_VISIBLE_DEVICES" not in view["env"]
        assert view["gpu_ids"] == [0]


def test_the_override_hides_devices_from_those_who_asked_for_none() -> None:
    override = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
    with deploying("--num-gpus=2", **override) as deploy:
        assert view_of(deploy)["env"]["CUDA_VISIBLE_DEVICES"] == ""
        assert view_of(deploy, num_gpus=1)["env"]["CUDA_VISIBLE_DEVICES"] == "0"


def test_resources_may_be_overridden() -> None:
    with deploying("--num-cpus=2", RAY_OVERRIDE_RESOURCES='{"CPU": 5, "widget": 3}'):
        total = ray.cluster_resources()
        assert (total["CPU"], total["widget"]) == (5, 3)


def test_devices_are_those_that_the_node_may_see() -> None:
    with deploying("--num-gpus=2", CUDA_VISIBLE_DEVICES="5,3") as deploy:
        view = view_of(deploy, num_gpus=1)
        assert view["env"]["CUDA_VISIBLE_DEVICES"] == "5"
        assert view_of(deploy, num_gpus=1)["env"]["CUDA_VISIBLE_DEVICES"] == "3"


def test_a_node_cannot_have_more_devices_than_it_may_see() -> None:
    port = str(free_port())
    done = penstock_command(
        "start",
        "--head",
        "--port",
        port,
        "--num-gpus=3",
        env=environment(CUDA_VISIBLE_DEVICES="5,3"),
        check=False,
    )
    if done.returncode == 0:
        penstock_command("stop", "--address", f"127.0.0.1:{port}")
    assert done.returncode != 0
    assert "CUDA_VISIBLE_DEVICES" in done.stderr
