"""Autoscaling policies of the user's, in a process of their own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import App, Deployer
from instances import Instance, embedded, penstock_command
from probes import QUICK
from ray import serve
from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy
from waiting import wait_until

FAST: dict[str, Any] = {
    "metrics_interval_s": 0.1,
    "look_back_period_s": 0.5,
    "upscale_delay_s": 0,
    "downscale_delay_s": 0,
    "max_replicas": 5,
}


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(ray_actor_options={"num_cpus": 0}, **QUICK)
class Idle:
    """Has nothing to do."""

    def __call__(self) -> str:
        return "ok"


class ByAFile:
    """Wants as many replicas as a file says, and writes down what it was told."""

    def __init__(self, path: str, log: str) -> None:
        self._path, self._log = Path(path), Path(log)

    def __call__(self, ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        calls = ctx.policy_state.get("calls", 0) + 1
        facts = (
            ctx.deployment_id,
            ctx.deployment_name,
            ctx.app_name,
            ctx.current_num_replicas,
            ctx.target_num_replicas,
            len(ctx.running_replicas),
            ctx.capacity_adjusted_min_replicas,
            ctx.capacity_adjusted_max_replicas,
            ctx.config.look_back_period_s,
            ctx.last_scale_up_time,
            calls,
        )
        self._log.write_text(repr(facts))
        return float(self._path.read_text()), {"calls": calls}


def deployed(deploy: Deployer, policy: Any, **config: Any) -> App:
    options = AutoscalingConfig(**{**FAST, **config}, policy=policy)
    return deploy(Idle.options(autoscaling_config=options).bind())


def test_a_class_with_arguments_and_a_state(deploy: Deployer, tmp_path: Path) -> None:
    wanted, log = tmp_path / "wanted", tmp_path / "log"
    wanted.write_text("1")
    kwargs = {"path": str(wanted), "log": str(log)}
    app = deployed(deploy, AutoscalingPolicy(policy_function=ByAFile, policy_kwargs=kwargs))
    wanted.write_text("2.2")
    wait_until(lambda: app.running("Idle") == 3, "a fraction is rounded up")
    wait_until(lambda: ", 3, 3, 3, 1, 5, 0.5, " in log.read_text(), "it knows what runs")
    assert f"Deployment(name='Idle', app='{app.name}')" in log.read_text() or "DeploymentID(" in log.read_text()
    assert "None" not in log.read_text().split(",")[-2], "it was scaled up once"
    calls = int(log.read_text().rstrip(")").split(",")[-1])
    wait_until(lambda: int(log.read_text().rstrip(")").split(",")[-1] or 0) > calls, "its state goes on")
    wanted.write_text("100")
    wait_until(lambda: app.running("Idle") == 5, "the bounds are around it")
    wanted.write_text("0")
    wait_until(lambda: app.running("Idle") == 1, "and below it")


def test_gains_and_delays_are_around_it(deploy: Deployer) -> None:
    def nine(ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        return 9, {}

    app = deployed(deploy, {"policy_function": nine}, upscaling_factor=0.25, upscale_delay_s=0.3, max_replicas=20)
    wait_until(lambda: app.running("Idle") == 3, "a quarter of the way")
    wait_until(lambda: app.running("Idle") == 9, "and on")


def test_a_policy_that_raises_changes_nothing_and_is_told_of(deploy: Deployer, instance: Instance) -> None:
    def bad(ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        raise KeyError("no such metric")

    app = deployed(deploy, {"policy_function": bad}, initial_replicas=2)
    log = Path(os.environ["PENSTOCK_HOME"])
    wait_until(
        lambda: any("no such metric" in path.read_text() for path in log.glob("*/logs/controller.log")),
        "the controller says why",
    )
    assert app.running("Idle") == 2


def test_the_default_one_may_be_called(deploy: Deployer) -> None:
    def doubled(ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        wanted, state = replica_queue_length_autoscaling_policy(ctx)
        return 2 * wanted + 2, state

    app = deployed(deploy, {"policy_function": doubled})
    wait_until(lambda: app.running("Idle") == 2, "without any load two")


def test_a_policy_whose_process_dies_is_started_again(deploy: Deployer, tmp_path: Path) -> None:
    wanted, pids = tmp_path / "wanted", tmp_path / "pids"
    wanted.write_text("1")

    def told(ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        pids.write_text(str(os.getpid()))
        return float(wanted.read_text()), {}

    app = deployed(deploy, {"policy_function": told})
    before = int(wait_until(lambda: pids.exists() and pids.read_text(), "it was asked"))
    os.kill(before, signal.SIGKILL)
    wanted.write_text("2")
    wait_until(lambda: app.running("Idle") == 2, "another process answers")
    assert int(pids.read_text()) != before


@serve.deployment(ray_actor_options={"num_cpus": 0}, **QUICK)
class Measured:
    """Says what a policy goes by."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """As many items as the file says."""
        return {"items": float(self._path.read_text())}

    def __call__(self) -> str:
        return "ok"


def test_what_replicas_record_reaches_the_policy(deploy: Deployer, tmp_path: Path) -> None:
    items = tmp_path / "items"
    items.write_text("1")

    def by_items(ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        each = ctx.aggregated_metrics.get("items", {})
        raw = ctx.raw_metrics.get("items", {})
        assert set(each) == set(raw)
        assert all(sample.timestamp <= ctx.current_time for samples in raw.values() for sample in samples)
        return max(each.values(), default=1), {}

    config = AutoscalingConfig(**FAST, policy={"policy_function": by_items})
    app = deploy(Measured.options(autoscaling_config=config).bind(str(items)))
    items.write_text("3")
    wait_until(lambda: app.running("Measured") == 3, "the policy went by it")


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        ({"policy_function": "nodots"}, ValueError),
        ({"policy_function": "no_such_module:f"}, ModuleNotFoundError),
        ({"policy_function": "os:no_such_name"}, ModuleNotFoundError),
        ({"policy_function": "os:name"}, TypeError),
        ({"policy_function": "os:getpid", "policy_kwargs": [1]}, ValueError),
        (3, ValueError),
    ],
)
def test_what_is_no_policy_is_refused(policy: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"policy|no_such_module"):
        Idle.options(autoscaling_config={"policy": policy})


def test_arguments_that_are_no_json() -> None:
    with pytest.raises(ValueError, match="policy_kwargs is not JSON-serializable"):
        AutoscalingPolicy(policy_function="os:getpid", policy_kwargs={"a": object()})


def test_every_change_is_explained(deploy: Deployer, instance: Instance) -> None:
    def three(ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        return 7, {}

    app = deployed(deploy, {"policy_function": three}, max_replicas=3)
    wait_until(lambda: app.running("Idle") == 3, "it has its three")
    explain = ("explain", "scaling", f"{app.name}/Idle", "--address", instance.address)
    text = penstock_command(*explain).stdout
    assert f"{app.name}/Idle: 3 replicas wanted, 3 in service\n" in text
    assert "1 -> 3  upscale: 0 requests (0 waiting), 1 in service: policy" in text
    assert "wants 7, so 7, max_replicas is 3\n" in text
    other = json.loads(penstock_command(*explain, "--json", "--with", "max_replicas=2").stdout)
    (change,) = other["changes"]
    assert (change["from"], change["to"], change["would_be"]) == (1, 3, 2)
    bad = penstock_command(*explain, "--with", "max_replicas=0", check=False)
    assert "max_replicas" in bad.stderr
    missing = penstock_command("explain", "scaling", "no/such", "--address", instance.address, check=False)
    assert "There is no Deployment(name='such', app='no')." in missing.stderr
