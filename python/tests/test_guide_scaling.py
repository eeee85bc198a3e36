"""The guide, line by line: a number of replicas, and replicas that follow the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Deployer
from instances import Instance, embedded
from probes import Gate, Held, Probe
from ray import serve
from waiting import wait_until

# Decides at once, from what it sees at the moment.
SWIFT: dict[str, Any] = {
    "upscale_delay_s": 0,
    "downscale_delay_s": 0,
    "metrics_interval_s": 0.1,
    "look_back_period_s": 0.2,
}


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


def processes(details: dict[str, Any]) -> set[int]:
    return {replica["pid"] for replica in details["replicas"] if replica["state"] == "RUNNING"}


def test_num_replicas_scales_out_and_every_replica_serves(deploy: Deployer) -> None:
    held = Held.options(num_replicas=3, max_ongoing_requests=1)
    app = deploy(held.bind(Gate.bind()))
    calls = [app.handle.remote() for _ in range(3)]
    wait_until(lambda: app.of("Gate").count.remote().result() == 3, "three requests are held at once")
    app.of("Gate").open.remote().result()
    answered = {call.result() for call in calls}
    assert len(answered) == 3
    assert answered == processes(app.details("Held"))


@pytest.mark.parametrize("number", [3, 1])
def test_redeploying_with_another_number_scales(deploy: Deployer, number: int) -> None:
    app = deploy(Probe.options(num_replicas=2).bind())
    assert app.running("Probe") == 2
    deploy(Probe.options(num_replicas=number).bind(), name=app.name)
    assert app.status() == "RUNNING"
    details = app.details("Probe")
    assert details["target_num_replicas"] == number
    assert [replica["state"] for replica in details["replicas"]] == ["RUNNING"] * number


@pytest.mark.parametrize(
    ("options", "requests", "replicas"),
    [
        (
            {"autoscaling_config": {"max_replicas": 3, "target_ongoing_requests": 1, **SWIFT}},
            5,  # more than the most replicas could take
            3,
        ),
        (
            {"num_replicas": "auto", "autoscaling_config": SWIFT},
            5,
            3,
        ),  # auto: two requests for each
    ],
    ids=["autoscaling_config", "auto"],
)
def test_replicas_follow_the_traffic(deploy: Deployer, options: dict[str, Any], requests: int, replicas: int) -> None:
    app = deploy(Held.options(**options).bind(Gate.bind()))
    assert app.running("Held") == 1
    app.handle.ping.remote().result()
    calls = [app.handle.remote() for _ in range(requests)]
    wait_until(
        lambda: app.running("Held") == replicas,
        f"{requests} requests are {replicas} replicas' work",
    )
    assert app.status() == "RUNNING"
    wait_until(lambda: app.details("Held")["status"] == "HEALTHY", "it has grown")
    assert app.details("Held")["status_trigger"] == "UPSCALE_COMPLETED"

    app.of("Gate").open.remote().result()
    for call in calls:
        call.result()
    wait_until(lambda: len(app.details("Held")["replicas"]) == 1, "without traffic one is enough")
    wait_until(lambda: app.details("Held")["status"] == "HEALTHY", "it has shrunk")
    assert app.details("Held")["status_trigger"] == "DOWNSCALE_COMPLETED"
    assert app.status() == "RUNNING"


def test_scale_to_zero_and_back(deploy: Deployer) -> None:
    options = {"min_replicas": 0, "max_replicas": 2, "initial_replicas": 0, **SWIFT}
    app = deploy(Probe.options(autoscaling_config=options).bind())
    assert app.running("Probe") == 0
    assert app.get().json()["pid"] > 0  # it starts because it is called
    wait_until(lambda: not app.details("Probe")["replicas"], "without traffic none is enough")
    assert app.status() == "RUNNING"


def test_the_first_request_of_a_handle_is_not_counted_for_ever(deploy: Deployer) -> None:
    options = {"min_replicas": 0, "max_replicas": 2, "initial_replicas": 0, **SWIFT}
    app = deploy(Probe.options(autoscaling_config=options).bind())
    app.handle.remote().result()
    wait_until(lambda: not app.details("Probe")["replicas"], "the request is over", timeout_s=3)


def test_a_number_and_autoscaling_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="Manually setting num_replicas is not allowed"):
        serve.deployment(num_replicas=2, autoscaling_config={"max_replicas": 3})(lambda: None)
