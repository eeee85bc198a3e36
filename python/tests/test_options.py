"""Every option of a deployment: what it does, or that it is refused by its name."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Deployer
from instances import Instance, embedded
from probes import QUICK, Gate, Held, Probe
from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.exceptions import BackPressureError
from waiting import in_background, wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(**QUICK)
class Tunable:
    """Tells what it was tuned to, and how often."""

    def __init__(self, start: str = "") -> None:
        self.seen = [start]

    def reconfigure(self, config: dict[str, Any]) -> None:
        if config.get("broken"):
            raise ValueError("cannot be tuned so")
        self.seen.append(config["note"])

    def __call__(self) -> list[str]:
        return self.seen


# ---- refused by name ----

REFUSED: dict[str, dict[str, Any]] = {
    "deployment_actors": {"deployment_actors": [{"name": "cache", "actor_class": "m:C"}]},
}
REFUSED_IN_PART: dict[str, dict[str, Any]] = {
    "runtime_env['pip']": {"ray_actor_options": {"runtime_env": {"pip": ["torch"]}}},
    "runtime_env['container']": {"ray_actor_options": {"runtime_env": {"container": {}}}},
}


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_IN_PART])
def test_what_is_not_acted_upon_is_refused_by_its_name(deploy: Deployer, name: str) -> None:
    given = {**REFUSED, **REFUSED_IN_PART}[name]
    tried = Probe.options(**given)  # as in Ray Serve, a definition is no promise
    with pytest.raises(NotImplementedError) as refused:
        deploy(tried.bind())
    assert name in str(refused.value)
    assert serve.status().applications == {}


def test_the_defaults_of_serve_may_be_said(deploy: Deployer) -> None:
    policies = "ray.serve.autoscaling_policy:"
    given: list[dict[str, Any]] = [
        {"autoscaling_config": {"policy": {"policy_function": policies + name}}}
        for name in ("default_autoscaling_policy", "replica_queue_length_autoscaling_policy")
    ]
    given += [
        {"request_router_config": RequestRouterConfig()},
        {"autoscaling_config": AutoscalingConfig(max_replicas=2)},
        {"logging_config": {"encoding": "TEXT", "log_level": "WARNING"}},
        {"max_surge_percent": 0},
    ]
    targets = [serve.RunTarget(Probe.options(**options).bind(), deploy.name(), None) for options in given]
    assert [handle.remote().result()["pid"] > 0 for handle in serve.run_many(targets)] == [True] * 6


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("controller_options", lambda: serve.start(controller_options={"runtime_env": {}})),
        ("tracing_config", lambda: serve.start(tracing_config={"enabled": True})),
    ],
)
@pytest.mark.usefixtures("instance")
def test_arguments_of_functions_that_are_not_acted_upon(name: str, run: Any) -> None:
    with pytest.raises(NotImplementedError, match=name):
        run()
    assert serve.status().applications == {}


def test_no_option_is_forgotten() -> None:
    """Each has a test here, or one that is named here."""
    elsewhere = {
        "name": "test_bad_options.test_good_names",
        "version": "test_bad_options.test_the_decorator",
        "num_replicas": "test_guide_scaling",
        "autoscaling_config": "test_guide_scaling",
        "ray_actor_options": "test_guide_resources",
        "max_replicas_per_node": "test_guide_resources.test_max_replicas_per_node",
        "placement_group_bundles": "test_groups",
        "placement_group_strategy": "test_groups",
        "placement_group_bundle_label_selector": "deployment_options_test, place_group_test",
        "gang_scheduling_config": "test_groups",
        "max_surge_percent": "test_groups",
        "priority": "test_precedence",
        "max_constructor_retry_count": "test_bad_input.test_a_constructor_that_raises_fails_...",
    }
    here = {
        "backpressure_config",
        "graceful_shutdown_timeout_s",
        "graceful_shutdown_wait_loop_s",
        "health_check_period_s",
        "health_check_timeout_s",
        "logging_config",
        "max_ongoing_requests",
        "max_queued_requests",
        "request_router_config",
        "rolling_update_percentage",
        "user_config",
    }
    every = set(inspect.signature(serve.deployment).parameters) - {"_func_or_class"}
    assert every == set(REFUSED) | set(elsewhere) | here


# ---- acted upon ----


def test_max_ongoing_requests_is_a_bound_for_all_callers_together(deploy: Deployer) -> None:
    app = deploy(Held.options(max_ongoing_requests=2).bind(Gate.bind()))
    gate = app.of("Gate")
    calls = [app.handle.remote() for _ in range(3)]
    replies = [in_background(app.get) for _ in range(3)]
    wait_until(lambda: gate.count.remote().result() == 2, "two requests are at the gate")
    assert gate.count.remote().result() == 2
    assert not any(reply.done() for reply in replies)
    gate.open.remote().result()
    assert {call.result() for call in calls} == {int(reply.result(20).text) for reply in replies}


def test_max_queued_requests_and_what_the_caller_is_told(deploy: Deployer) -> None:
    held = Held.options(
        max_ongoing_requests=1,
        max_queued_requests=1,
        backpressure_config={"status_code": 429, "retry_after_s": 1.2},
    )
    app = deploy(held.bind(Gate.bind()))
    gate = app.of("Gate")
    words = "Request dropped due to backpressure (num_queued_requests=1, max_queued_requests=1)."
    app.handle.ping.remote().result()

    running = in_background(app.get)
    wait_until(lambda: gate.count.remote().result() == 1, "one request runs")
    replies = [in_background(app.get) for _ in range(2)]
    wait_until(lambda: sum(reply.done() for reply in replies) == 1, "one waits, one is dropped")
    (dropped,) = (reply.result() for reply in replies if reply.done())
    assert (dropped.status_code, dropped.text) == (429, words)
    assert dropped.headers["retry-after"] == "2"

    # Per caller: this process's queue is its own. The first is on its way to the replica, the
    # second waits, and there is no room for more.
    calls = [app.handle.remote() for _ in range(3)]
    with pytest.raises(BackPressureError, match=r"max_queued_requests=1\)") as error:
        calls[-1].result(timeout_s=10)
    assert (error.value.status_code, error.value.retry_after_s) == (429, 1.2)
    gate.open.remote().result()
    assert calls[0].result() == int(running.result(20).text)
    assert sorted(reply.result(20).status_code for reply in replies) == [200, 429]


def test_max_queued_requests_holds_for_the_first_requests_of_a_handle(deploy: Deployer) -> None:
    app = deploy(Held.options(max_ongoing_requests=1, max_queued_requests=1).bind(Gate.bind()))
    calls = [app.handle.remote() for _ in range(5)]
    gate = app.of("Gate")
    wait_until(lambda: gate.count.remote().result() == 1, "one request runs")
    gate.open.remote().result()
    dropped = 0
    for call in calls:
        try:
            call.result(timeout_s=10)
        except BackPressureError:
            dropped += 1
    assert dropped >= 3  # one runs, one waits


def test_backpressure_is_503_by_default(deploy: Deployer) -> None:
    held = Held.options(max_ongoing_requests=1, max_queued_requests=1)
    app = deploy(held.bind(Gate.bind()))
    replies = [in_background(app.get) for _ in range(3)]
    wait_until(lambda: any(reply.done() for reply in replies), "one is dropped")
    (dropped,) = (reply.result() for reply in replies if reply.done())
    assert dropped.status_code == 503
    assert "retry-after" not in dropped.headers
    app.of("Gate").open.remote().result()


def test_user_config_reaches_reconfigure(deploy: Deployer) -> None:
    app = deploy(Tunable.options(user_config={"note": "first"}).bind("made"))
    assert app.handle.remote().result() == ["made", "first"]


def test_a_user_config_that_is_refused_fails_the_deploy(deploy: Deployer) -> None:
    tuned = Tunable.options(user_config={"broken": True}, max_constructor_retry_count=1)
    with pytest.raises(RuntimeError, match="ValueError: cannot be tuned so"):
        deploy(tuned.bind())


def test_health_checks_that_fail_replace_the_replica(deploy: Deployer, tmp_path: Path) -> None:
    @serve.deployment(health_check_period_s=0.05, health_check_timeout_s=5, **QUICK)
    class Patient:
        def __init__(self, illness: str) -> None:
            self.illness = illness
            while os.path.exists(illness):  # nobody takes its place before the test has looked
                time.sleep(0.01)

        def check_health(self) -> None:
            if os.path.exists(self.illness) and Path(self.illness).read_text() == str(os.getpid()):
                raise RuntimeError("ill")

        def __call__(self) -> int:
            return os.getpid()

    illness = tmp_path / "illness"
    app = deploy(Patient.bind(str(illness)))
    before = app.handle.remote().result()
    illness.write_text(str(before))
    wait_until(lambda: app.details("Patient")["status"] == "UNHEALTHY", "three checks failed")
    details = app.details("Patient")
    assert details["status_trigger"] == "HEALTH_CHECK_FAILED"
    assert details["message"].startswith("A replica's health check failed.")
    assert app.status() == "UNHEALTHY"
    illness.unlink()
    wait_until(lambda: app.status() == "RUNNING", "another one took its place")
    assert app.handle.remote().result() != before


def test_health_checks_that_take_too_long_count_as_failed(deploy: Deployer, tmp_path: Path) -> None:
    @serve.deployment(health_check_period_s=0.05, health_check_timeout_s=0.1, **QUICK)
    class Slow:
        def __init__(self, coma: str) -> None:
            self.coma = coma
            while os.path.exists(coma):  # nobody takes its place before the test has looked
                time.sleep(0.01)

        async def check_health(self) -> None:
            if os.path.exists(self.coma):
                await asyncio.Event().wait()

        def __call__(self) -> int:
            return os.getpid()

    coma = tmp_path / "coma"
    app = deploy(Slow.bind(str(coma)))
    before = app.handle.remote().result()
    coma.touch()
    wait_until(lambda: app.details("Slow")["status"] == "UNHEALTHY", "it does not answer")
    coma.unlink()
    wait_until(lambda: app.status() == "RUNNING", "another one took its place")
    assert app.handle.remote().result() != before


def test_a_replica_finishes_what_it_has_before_it_stops(deploy: Deployer, tmp_path: Path) -> None:
    farewell = tmp_path / "farewell"

    @serve.deployment(graceful_shutdown_timeout_s=20, graceful_shutdown_wait_loop_s=0.05)
    class Polite(Held.func_or_class):
        def __del__(self) -> None:
            farewell.write_text("done")

    gate = deploy(Gate.bind())
    app = deploy(Polite.bind(gate.handle))
    call = app.handle.remote()
    wait_until(lambda: gate.handle.count.remote().result() == 1, "the request is under way")
    deleted = in_background(serve.delete, app.name)
    wait_until(
        lambda: [r["state"] for r in app.details("Polite")["replicas"]] == ["STOPPING"],
        "it is to stop",
    )
    assert not deleted.done()
    gate.handle.open.remote().result()
    assert call.result(timeout_s=20) > 0
    deleted.result(timeout=20)
    assert farewell.read_text() == "done"


def test_after_the_grace_a_replica_is_killed(deploy: Deployer) -> None:
    held = Held.options(graceful_shutdown_timeout_s=0.3)
    gate = deploy(Gate.bind())
    app = deploy(held.bind(gate.handle))
    lost = app.handle.remote()
    wait_until(lambda: gate.handle.count.remote().result() == 1, "the request is under way")
    serve.delete(app.name)  # does not wait for the gate, which stays shut
    assert app.name not in serve.status().applications
    with pytest.raises(Exception, match=r"\w+"):
        lost.result(timeout_s=10)


def test_a_rollout_keeps_most_replicas_running(deploy: Deployer) -> None:
    app = deploy(Probe.options(num_replicas=3).bind())
    first = {replica["pid"] for replica in app.details("Probe")["replicas"]}
    gate = deploy(Gate.bind())

    class Waits:
        async def __init__(self, gate: Any) -> None:
            await gate.wait.remote()

        def __call__(self) -> str:
            return "new"

    new = serve.deployment(name="Probe", num_replicas=3, rolling_update_percentage=0.2, **QUICK)
    deploy(new(Waits).bind(gate.handle), name=app.name, wait=False)
    wait_until(lambda: gate.handle.count.remote().result() == 1, "the first new one is starting")
    assert app.running("Probe") == 2  # a fifth of three is one at a time
    gate.handle.open.remote().result()
    wait_until(lambda: app.status() == "RUNNING", "the new version has taken over")
    details = app.details("Probe")
    assert len(details["replicas"]) == 3
    assert not first & {replica["pid"] for replica in details["replicas"]}
    assert app.get().text == "new"


def test_a_whole_rollout_at_once(deploy: Deployer) -> None:
    gate = deploy(Gate.bind())

    @serve.deployment(num_replicas=2, rolling_update_percentage=1.0, **QUICK)
    class AtOnce:
        async def __init__(self, gate: Any = None) -> None:
            if gate is not None:
                await gate.wait.remote()

        def __call__(self) -> str:
            return "served"

    app = deploy(AtOnce.bind())
    deploy(AtOnce.bind(gate.handle), name=app.name, wait=False)
    wait_until(lambda: gate.handle.count.remote().result() == 2, "both are starting")
    assert app.running("AtOnce") == 0
    gate.handle.open.remote().result()
    wait_until(lambda: app.status() == "RUNNING", "both run")


def test_log_level(deploy: Deployer) -> None:
    @serve.deployment(logging_config={"log_level": "DEBUG"}, **QUICK)
    def level() -> int:
        return logging.getLogger("ray.serve").getEffectiveLevel()

    assert deploy(level.bind()).handle.remote().result() == logging.DEBUG


def test_deploying_again_restarts_every_replica(deploy: Deployer) -> None:
    app = deploy(Probe.options(num_replicas=2).bind())
    before = {replica["pid"] for replica in app.details("Probe")["replicas"]}
    deploy(Probe.options(num_replicas=2).bind(), name=app.name)
    after = {replica["pid"] for replica in app.details("Probe")["replicas"]}
    assert len(after) == 2
    assert not before & after
