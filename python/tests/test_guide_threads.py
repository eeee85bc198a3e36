"""The guide, line by line: how many threads a replica's libraries use.

The node was started without the variable; see test_guide_threads_at_start for the other case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Deployer
from instances import Instance, embedded
from probes import QUICK, Probe
from ray import serve

OMP = "OMP_NUM_THREADS"


def probe(**ray_actor_options: Any) -> serve.Deployment:
    return Probe.options(ray_actor_options=ray_actor_options)


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16, num_gpus=4) as running:
        yield running


def test_it_is_num_cpus_rounded_down_and_at_least_one(deploy: Deployer, instance: Instance) -> None:
    expected = {0: 1, 0.25: 1, 0.5: 1, 1: 1, 1.5: 1, 2: 2, 2.9: 2, 3: 3}
    names = [deploy.name() for _ in expected]
    handles = serve.run_many(
        [serve.RunTarget(probe(num_cpus=n).bind(), name, None) for n, name in zip(expected, names)]
    )
    values = [handle.remote().result()["env"][OMP] for handle in handles]
    assert dict(zip(expected, values)) == {n: str(threads) for n, threads in expected.items()}
    text = instance.status_text()
    assert "OMP_NUM_THREADS=2 [max(1, floor(num_cpus=2.9))]" in text
    assert "OMP_NUM_THREADS=1 [no CPU is assigned]" in text


def test_it_is_one_when_num_cpus_is_not_specified(deploy: Deployer, instance: Instance) -> None:
    assert deploy(Probe.bind()).handle.remote().result()["env"][OMP] == "1"
    assert "OMP_NUM_THREADS=1 [num_cpus is not specified]" in instance.status_text()


def test_gpus_play_no_role(deploy: Deployer) -> None:
    assert deploy(probe(num_gpus=4).bind()).handle.remote().result()["env"][OMP] == "1"


def test_what_runtime_env_says_is_kept(deploy: Deployer, instance: Instance) -> None:
    app = deploy(probe(num_cpus=2, runtime_env={"env_vars": {OMP: "7"}}).bind())
    assert app.handle.remote().result()["env"][OMP] == "7"
    assert "OMP_NUM_THREADS=7 [set in runtime_env]" in instance.status_text()


def test_the_constructor_may_set_it(deploy: Deployer) -> None:
    @serve.deployment(ray_actor_options={"num_cpus": 2}, **QUICK)
    class MyDeployment:
        def __init__(self, parallelism: str) -> None:
            self.before = os.environ["OMP_NUM_THREADS"]
            os.environ["OMP_NUM_THREADS"] = parallelism

        def __call__(self) -> tuple[str, str]:
            return self.before, os.environ["OMP_NUM_THREADS"]

    assert deploy(MyDeployment.bind("12")).handle.remote().result() == ("2", "12")


def test_opencv_is_told_by_its_own_call(deploy: Deployer) -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless (group `example`) is not installed")

    @serve.deployment(**QUICK)
    class Resizer:
        def __init__(self, threads: int) -> None:
            import cv2

            cv2.setNumThreads(threads)

        def __call__(self) -> tuple[int, int]:
            import cv2

            return cv2.getNumThreads(), cv2.getNumberOfCPUs()

        def disable(self) -> int:
            import cv2

            cv2.setNumThreads(0)
            return int(cv2.getNumThreads())

    app = deploy(Resizer.bind(3))
    threads, cpus = app.handle.remote().result()
    assert threads == 3
    assert cpus >= 1
    assert app.handle.disable.remote().result() in (0, 1)  # none beside the caller's own
