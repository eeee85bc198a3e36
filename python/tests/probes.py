"""Deployments that tell what they see, and one that holds others up. Replicas import this."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

__all__ = ["QUICK", "Gate", "Held", "OutOfPaper", "Probe"]

# Nothing a test deploys takes long to say farewell.
QUICK: dict[str, Any] = {"graceful_shutdown_timeout_s": 1.0, "graceful_shutdown_wait_loop_s": 0.05}


@serve.deployment(**QUICK)
class Probe:
    """What a replica was given, as it sees it itself."""

    def __init__(self) -> None:
        self._environment_at_start = dict(os.environ)

    def __call__(self) -> dict[str, Any]:
        """All of it."""
        context = ray.get_runtime_context()
        return {
            "pid": os.getpid(),
            "node": context.get_node_id(),
            "assigned": context.get_assigned_resources(),
            "gpu_ids": ray.get_gpu_ids(),
            "accelerators": context.get_accelerator_ids(),
            "env": self._environment_at_start,
            "cwd": os.getcwd(),
        }


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0}, **QUICK)
class Gate:
    """Whoever waits here goes on when it is opened."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._waiting = 0

    async def wait(self) -> None:
        """Until it is opened."""
        self._waiting += 1
        try:
            await self._opened.wait()
        finally:
            self._waiting -= 1

    async def count(self) -> int:
        """How many wait."""
        return self._waiting

    async def open(self) -> None:
        """Lets everybody go on, now and later."""
        self._opened.set()


@serve.deployment(**QUICK)
class Held:
    """Each request waits at the gate; the answer is the replica's process."""

    def __init__(self, gate: DeploymentHandle) -> None:
        self._gate = gate

    async def __call__(self) -> int:
        """The process id, once the gate is open."""
        await self._gate.wait.remote()
        return os.getpid()

    async def ping(self) -> int:
        """The process id, at once."""
        return os.getpid()


class OutOfPaper(Exception):
    """A user's own exception, with fields of its own."""

    def __init__(self, tray: int, note: str) -> None:
        super().__init__(tray, note)
        self.tray = tray
        self.note = note
