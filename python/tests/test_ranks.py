"""Ranks: dense, told to user code, closed when a replica leaves a gap."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=4) as running:
        yield running


QUICK: dict[str, Any] = {"graceful_shutdown_timeout_s": 0.1}


@serve.deployment(**QUICK)
class Ranked:
    """Remembers what it was told, and refuses a rank of 0 after its start if it is ``picky``."""

    def __init__(self, picky: bool = False) -> None:
        self.picky = picky
        self.told: list[tuple[Any, int]] = []

    async def reconfigure(self, user_config: Any, rank: Any) -> None:
        if self.picky and self.told:
            raise RuntimeError("not this rank")
        self.told.append((user_config, rank.rank))

    def __call__(self) -> dict[str, Any]:
        context = serve.get_replica_context()
        rank = context.rank
        return {
            "id": context.replica_tag,
            "pid": os.getpid(),
            "rank": (rank.rank, rank.node_rank, rank.local_rank),
            "told": self.told,
            "world_size": context.world_size,
        }


def answers(app: App) -> dict[str, dict[str, Any]]:
    """What each replica says of itself, by its id."""
    replies = app.of("Ranked").broadcast("__call__").results()
    return {reply["id"]: reply for reply in replies}


def shown(app: App) -> dict[str, tuple[int, int, int]]:
    """The ranks that the status shows."""
    replicas = app.details("Ranked")["replicas"]
    return {r["replica_id"]: (r["rank"], r["node_rank"], r["local_rank"]) for r in replicas}


def leave_a_gap(app: App, wanted: Path) -> None:
    """The first rank goes to the newest replica, and leaves with it."""
    first = next(reply for reply in answers(app).values() if reply["rank"][0] == 0)
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: first["id"] not in shown(app) and app.running("Ranked") == 3, "it was replaced")
    wanted.write_text("2")
    wait_until(lambda: len(shown(app)) == 2, "one has left")


def scaled_by(wanted: Path) -> serve.Deployment:
    """Ranked, with as many replicas as a file says: 3 at first."""

    def policy(_: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        return float(wanted.read_text()), {}

    wanted.write_text("3")
    config = AutoscalingConfig(
        min_replicas=2, initial_replicas=3, max_replicas=3, downscale_delay_s=0, policy=AutoscalingPolicy(policy)
    )
    return Ranked.options(autoscaling_config=config)


def test_gaps_are_closed_and_told(deploy: Deployer, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    app = deploy(scaled_by(wanted).options(user_config={"k": 1}).bind())
    before = answers(app)
    assert sorted(reply["rank"] for reply in before.values()) == [(0, 0, 0), (1, 0, 1), (2, 0, 2)]
    assert {own: reply["rank"] for own, reply in before.items()} == shown(app)
    leave_a_gap(app, wanted)
    wait_until(lambda: sorted(reply["rank"][0] for reply in answers(app).values()) == [0, 1], "the gap is closed")
    after = answers(app)
    assert {own: reply["rank"] for own, reply in after.items()} == shown(app)
    moved = next(reply for reply in after.values() if reply["rank"][0] == 0)
    stayed = next(reply for reply in after.values() if reply["rank"][0] == 1)
    assert moved["told"] == [({"k": 1}, 2), ({"k": 1}, 0)]
    assert moved["world_size"] == 2
    assert stayed["told"] == [({"k": 1}, 1)]
    assert stayed["pid"] == before[stayed["id"]]["pid"]


def test_a_reconfigure_that_refuses_its_rank_costs_no_replica(deploy: Deployer, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    app = deploy(scaled_by(wanted).bind(picky=True))
    pids = {reply["pid"] for reply in answers(app).values()}
    leave_a_gap(app, wanted)
    wait_until(lambda: sorted(reply["rank"][0] for reply in answers(app).values()) == [0, 1], "the gap is closed")
    after = answers(app)
    assert {reply["pid"] for reply in after.values()} < pids
    assert [reply["told"] for reply in after.values() if reply["rank"][0] == 0] == [[(None, 2)]]
    assert app.status() == "RUNNING"
