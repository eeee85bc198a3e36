"""Fixtures: `instance` is each module's own; `deploy` runs applications on it and deletes them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

import penstock

# Before anything of ours is imported: `import ray` finds the shim.
sys.path.insert(0, str(Path(penstock.__file__).parent / "_shim"))

import requests
from instances import Instance, processes_of
from ray import serve
from ray.serve.handle import DeploymentHandle
from waiting import wait_until

_numbers = itertools.count()


def pytest_configure() -> None:
    """Instances of tests are kept apart from those of the user who runs them, and from the shell."""
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PENSTOCK_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    # A shell without job control starts what it puts into the background deaf to Ctrl-C, and with it
    # whatever tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PENSTOCK_HOME"] = tempfile.mkdtemp(prefix="pt-", dir="/tmp")  # short: it holds sockets


def pytest_unconfigure() -> None:
    """And nothing of them stays."""
    shutil.rmtree(os.environ["PENSTOCK_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test may hang."""
    for item in items:
        item.add_marker(pytest.mark.timeout(90))


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    wait_until(
        lambda: not processes_of(os.environ["PENSTOCK_HOME"]),
        "every process of the tests has ended",
        10,
    )


class App:
    """An application that a test deployed."""

    def __init__(self, instance: Instance, name: str, handle: DeploymentHandle) -> None:
        self.instance = instance
        self.name = name
        self.handle = handle

    def of(self, deployment: str) -> DeploymentHandle:
        """A handle of one of its deployments."""
        return serve.get_deployment_handle(deployment, self.name)

    def status(self) -> str:
        """Of the application, in one word."""
        return str(serve.status().applications[self.name].status.value)

    def details(self, deployment: str) -> dict[str, Any]:
        """All that is known of a deployment."""
        return self.instance.deployment(self.name, deployment)

    def running(self, deployment: str) -> int:
        """How many of its replicas run."""
        states = serve.status().applications[self.name].deployments[deployment].replica_states
        return states.get("RUNNING", 0)

    def get(self, path: str = "", **kwargs: Any) -> requests.Response:
        """Asks the proxy."""
        return requests.get(self.instance.url(f"/{self.name}{path}"), timeout=30, **kwargs)

    def post(self, path: str = "", **kwargs: Any) -> requests.Response:
        """Tells the proxy."""
        return requests.post(self.instance.url(f"/{self.name}{path}"), timeout=30, **kwargs)


class Deployer:
    """Deploys under names of its own, at ``/name``."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.apps: list[str] = []

    def name(self) -> str:
        """A name that nobody has."""
        name = f"app{next(_numbers)}"
        self.apps.append(name)
        return name

    def __call__(
        self,
        target: serve.Application,
        *,
        name: Optional[str] = None,
        wait: bool = True,
        **options: Any,
    ) -> App:
        name = name or self.name()
        options.setdefault("route_prefix", f"/{name}")
        run = serve.run if wait else serve._run
        if not wait:
            options["_blocking"] = False
        return App(self._instance, name, run(target, name=name, **options))

    def delete_all(self) -> None:
        """And waits until they are gone: the next test finds every resource free."""
        for name in self.apps:
            serve.delete(name, _blocking=False)
        for name in self.apps:
            serve.delete(name)
        self.apps.clear()


@pytest.fixture
def deploy(instance: Instance) -> Iterator[Deployer]:
    """Deploys applications for one test."""
    deployer = Deployer(instance)
    yield deployer
    deployer.delete_all()


@pytest.fixture(scope="module")
def deploy_once(instance: Instance) -> Iterator[Deployer]:
    """Deploys applications for all tests of a module."""
    deployer = Deployer(instance)
    yield deployer
    deployer.delete_all()
