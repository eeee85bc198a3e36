"""Bundles that are reserved together, gangs, and rollouts beyond the target, on a real instance."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from conftest import App, Deployer
from instances import Instance, embedded
from probes import QUICK, Probe
from ray import serve
from ray.serve.config import GangPlacementStrategy, GangRuntimeFailurePolicy, GangSchedulingConfig
from ray.serve.gang import GangContext
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=4, num_gpus=2, resources={"widget": 3}) as running:
        yield running


def test_a_replica_runs_in_its_first_bundle_and_holds_all(deploy: Deployer) -> None:
    bundles = [{"CPU": 1, "GPU": 1}, {"CPU": 1, "widget": 2}]
    app = deploy(
        Probe.options(
            placement_group_bundles=bundles,
            placement_group_strategy="STRICT_PACK",
            ray_actor_options={"num_cpus": 0.5, "num_gpus": 1},
        ).bind()
    )
    view = app.handle.remote().result()
    assert view["assigned"] == {"CPU": 0.5, "GPU": 1}
    assert view["env"]["CUDA_VISIBLE_DEVICES"] == "0"
    free = ray.available_resources()
    assert (free["CPU"], free["GPU"], free["widget"]) == (2, 1, 1)
    (replica,) = app.details("Probe")["replicas"]
    assert [bundle["resources"] for bundle in replica["placement_group"]] == bundles
    second = deploy(Probe.options(placement_group_bundles=bundles).bind(), wait=False)
    wait_until(lambda: "PACK" in second.details("Probe")["message"], "it says that it waits")
    assert "needs 2 widget, 1 of 3 free" in second.details("Probe")["message"]
    serve.delete(app.name)
    wait_until(lambda: second.running("Probe") == 1, "the second one has its room")


@serve.deployment(ray_actor_options={"num_cpus": 0.5}, **QUICK)
class Member:
    """Tells of its gang."""

    def __call__(self) -> tuple[int, Any]:
        context = serve.get_replica_context()
        gang = context.gang_context
        assert gang is not None
        assert gang.member_replica_ids[gang.rank] == context.replica_id.unique_id
        return os.getpid(), gang


def gangs(app: App) -> dict[str, set[int]]:
    """The processes of each gang."""
    pids: dict[str, set[int]] = {}
    for replica in app.details("Member")["replicas"]:
        if replica["state"] == "RUNNING":
            pids.setdefault(replica["gang"]["id"], set()).add(replica["pid"])
    return pids


def test_a_gang_lives_and_dies_together(deploy: Deployer) -> None:
    gang = GangSchedulingConfig(gang_size=2, gang_placement_strategy=GangPlacementStrategy.SPREAD)
    app = deploy(Member.options(num_replicas=4, gang_scheduling_config=gang).bind())
    pid, context = app.handle.remote().result()
    assert isinstance(context, GangContext)
    assert context.world_size == 2
    before = gangs(app)
    assert sorted(len(members) for members in before.values()) == [2, 2]
    assert pid in before[context.gang_id]
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: len(gangs(app)) == 2 and context.gang_id not in gangs(app) and app.running("Member") == 4,
        "a new gang has replaced the one that lost a member",
    )
    (other,) = set(before) - {context.gang_id}
    assert gangs(app)[other] == before[other]


def test_bad_gangs_are_refused() -> None:
    with pytest.raises(ValueError, match="gang_size"):
        GangSchedulingConfig(gang_size=0)
    with pytest.raises(NotImplementedError, match="RESTART_REPLICA"):
        GangSchedulingConfig(gang_size=2, runtime_failure_policy=GangRuntimeFailurePolicy.RESTART_REPLICA)
    with pytest.raises(ValueError, match="multiple of gang_size"):
        Member.options(num_replicas=3, gang_scheduling_config={"gang_size": 2})


@pytest.mark.parametrize("surge", [100, "auto"])
def test_a_surge_keeps_the_only_replica_until_the_next_one_serves(deploy: Deployer, surge: Any) -> None:
    first = deploy(Probe.options(max_surge_percent=surge).bind())
    before = first.handle.remote().result()["pid"]
    running = []
    deploy(Probe.options(max_surge_percent=surge).bind(), name=first.name, wait=False)

    def replaced() -> bool:
        running.append(first.running("Probe"))
        return bool(first.handle.remote().result()["pid"] != before) and first.status() == "RUNNING"

    wait_until(replaced, "the new version serves")
    assert min(running) >= 1


def test_an_automatic_surge_makes_room_where_there_is_none(deploy: Deployer) -> None:
    options: dict[str, Any] = {"max_surge_percent": "auto", "ray_actor_options": {"num_cpus": 4}}
    first = deploy(Probe.options(**options).bind())
    before = first.handle.remote().result()["pid"]
    deploy(Probe.options(**options).bind(), name=first.name)
    assert first.handle.remote().result()["pid"] != before
