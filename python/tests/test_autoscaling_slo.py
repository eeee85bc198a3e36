"""The policy penstock:slo, with real requests."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from instances import Instance, embedded, penstock_command
from probes import QUICK
from ray import serve
from waiting import wait_until

WORK_S = 0.5


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(
    ray_actor_options={"num_cpus": 0},
    max_ongoing_requests=2,
    autoscaling_config={
        "max_replicas": 6,
        "policy": {"policy_function": "penstock:slo", "policy_kwargs": {"waiting_objective_s": 0.2}},
    },
    **QUICK,
)
class Slow:
    """Takes its time."""

    async def __call__(self) -> str:
        await asyncio.sleep(WORK_S)
        return "ok"


def explain(instance: Instance) -> Any:
    """What the journal says."""
    text = penstock_command("explain", "scaling", "slo/Slow", "--json", "--address", instance.address).stdout
    return json.loads(text)


def test_a_load_gets_the_replicas_that_start_its_requests_in_time(instance: Instance) -> None:
    handle = serve.run(Slow.bind(), name="slo", route_prefix=None)
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            assert handle.remote().result() == "ok"

    clients = [threading.Thread(target=client) for _ in range(6)]
    for one in clients:
        one.start()
    try:
        wait_until(lambda: explain(instance)["running"] >= 3, "three replicas in service")
    finally:
        stop.set()
        for one in clients:
            one.join()
    change = explain(instance)["changes"][-1]
    assert change["policy"] == "penstock:slo"
    assert change["rule"] in {"load", "backlog", "forecast", "hold"}


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"waiting_objective_s": 0}, "waiting_objective_s"),
        ({"attainment": 1}, "attainment"),
        ({"startup": 3}, "'startup' is none of"),
    ],
)
def test_an_objective_that_cannot_be_is_refused(kwargs: dict[str, float], words: str) -> None:
    policy = {"policy_function": "penstock:slo", "policy_kwargs": kwargs}
    with pytest.raises(ValueError, match=words):
        serve.deployment(autoscaling_config={"policy": policy})(Slow.func_or_class)


def test_its_name_is_enough() -> None:
    assert serve.deployment(autoscaling_config={"policy": "penstock:slo"})(Slow.func_or_class)


def test_a_trace_is_simulated(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("1\n" * 300 + "6\n" * 600)
    run = ("simulate", str(trace), "--max-ongoing-requests", "2", "--service-s", "2", "--startup-s", "20")
    text = penstock_command(*run, "--with", "max_replicas=20", "--with", "policy=penstock:slo").stdout
    assert "3900 requests in 900 s" in text
    lines = penstock_command(*run, "--with", "max_replicas=3", "--csv").stdout.splitlines()
    assert lines[0].startswith("t_s,target,ready")
    assert len(lines) == 901
    assert max(int(line.split(",")[1]) for line in lines[1:]) == 3
    bad = penstock_command(*run, "--with", "max_replicas=0", check=False)
    assert "autoscaling_config.max_replicas: Input should be greater than 0, got 0" in bad.stderr
