"""One deployment in local testing mode: an object, a loop, a thread."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
import uuid
import weakref
from typing import Any, Callable

from penstock._local.call import LocalCall
from penstock._replica.invoke import Invoker
from penstock._replica.reconfigure import reconfigure
from penstock._replica.runners import Runners
from penstock.serve.context import (
    DeploymentID,
    ReplicaContext,
    ReplicaID,
    ReplicaRank,
    local_replica,
    request_context,
)
from penstock.serve.deployment import Deployment

__all__ = ["LocalDeployment", "find"]

logger = logging.getLogger("ray.serve")

# Sync methods that may run at once.
_THREADS = 32

# Those that live, by id: a handle that is shipped as an argument finds its own again.
_all: weakref.WeakValueDictionary[str, LocalDeployment] = weakref.WeakValueDictionary()


def find(replica_id: str) -> LocalDeployment:
    """The deployment with this replica. KeyError when nothing refers to it any more."""
    return _all[replica_id]


class _LocalRunners(Runners):
    """Threads that come back to asyncio's loop: there is no native one below it."""

    def _flush(self) -> None:
        """Nothing is sent."""

    def _post(self, task: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(task)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


def _end(loop: asyncio.AbstractEventLoop, runners: Runners) -> None:
    runners.close()
    loop.call_soon_threadsafe(loop.stop)


class LocalDeployment:
    """Runs one object. It ends when no handle and no call refers to it."""

    def __init__(
        self,
        deployment: Deployment,
        name: str,
        app_name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Constructs the object; raises what its constructor or ``reconfigure`` raises."""
        self.name = name
        self.app_name = app_name
        self.replica_id = uuid.uuid4().hex[:8]
        _warn_of_ignored(deployment)
        self._context = ReplicaContext(
            ReplicaID(self.replica_id, DeploymentID(self.name, app_name)), None, ReplicaRank(0), 1
        )
        self._variables = contextvars.copy_context()
        self._variables.run(local_replica.set, self._context)
        self._variables.run(request_context.set, None)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop,), name=f"serve-local-{self.name}", daemon=True).start()
        runners = _LocalRunners(self._loop, _THREADS)
        weakref.finalize(self, _end, self._loop, runners)
        servable = self._wait_for(_construct(deployment, args, kwargs))
        self._context.servable_object = servable
        self._invoker = Invoker(self._loop, servable, runners, self._context)
        _all[self.replica_id] = self

    def _wait_for(self, work: Any) -> Any:
        return self._variables.copy().run(asyncio.run_coroutine_threadsafe, work, self._loop).result()

    def post(self, task: Callable[..., Any], *args: Any) -> None:
        """Runs it on the deployment's thread, soon."""
        self._loop.call_soon_threadsafe(task, *args, context=self._variables.copy())

    def start(self, call: LocalCall) -> None:
        """Runs a request."""
        self.post(self._invoker.start, call)

    def cancel(self, call: LocalCall) -> None:
        """Nobody waits for the request any more. On the deployment's thread."""
        self._invoker.cancel(call)  # type: ignore[arg-type]


async def _construct(deployment: Deployment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    func_or_class = deployment.func_or_class
    if not inspect.isclass(func_or_class):
        return func_or_class
    servable = func_or_class.__new__(func_or_class)
    outcome = func_or_class.__init__(servable, *args, **kwargs)
    if inspect.isawaitable(outcome):
        await outcome
    await reconfigure(servable, deployment.name, deployment.user_config, ReplicaRank(0))
    return servable


def _warn_of_ignored(deployment: Deployment) -> None:
    options = deployment.ray_actor_options
    for option in ("num_gpus", "runtime_env"):
        if options.get(option):
            logger.warning(
                "%s of '%s' is ignored in local testing mode: it runs in this process.",
                option,
                deployment.name,
            )
