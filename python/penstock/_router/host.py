"""Between the native host of a router's process and the user's router."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Callable, Optional

from penstock import _core, _process
from penstock._code_host import load, traceback_of
from penstock.serve.context import DeploymentID, ReplicaID
from penstock.serve.request_router import FIFOMixin, PendingRequest, ReplicaResult, RequestRouter, RunningReplica
from penstock.serve.request_router._router import Caller, asking
from penstock.serve.request_router._types import replica_of

__all__ = ["RouterCode"]

logger = logging.getLogger("ray.serve")

_Key = tuple[int, int]  # who asks, and the number of its request


def _load(assignment: dict[str, Any], deployment_id: DeploymentID) -> RequestRouter:
    router: RequestRouter = load(assignment, "request_router_class")(deployment_id=deployment_id)
    router.initialize_state(**assignment["kwargs"])
    return router


def _ids(ranked: Any) -> list[list[str]]:
    """Unique ids of what ``choose_replicas`` returned. TypeError when that is no list of lists of replicas."""
    try:
        return [[replica.replica_id.unique_id for replica in group] for group in ranked]
    except (TypeError, AttributeError):
        raise TypeError(f"choose_replicas must return a list of lists of replicas, got {ranked!r}.") from None


class RouterCode:
    """What the native host calls. All of it on the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, assignment: dict[str, Any]) -> None:
        self._loop = loop
        self._deployment_id = DeploymentID(assignment["deployment"], assignment["app"])
        self._router: Optional[RequestRouter] = None
        self._broken = ""  # why there is no router: what everybody is told
        self._pending: dict[_Key, PendingRequest] = {}
        self._sent: dict[_Key, ReplicaID] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._replicas: dict[str, RunningReplica] = {}
        self._news = asyncio.Event()  # replaced with each change
        try:
            self._router = _load(assignment, self._deployment_id)
        except BaseException as error:  # the user's code, whatever it raises
            logger.exception("The request router cannot be made.")
            self._broken = traceback_of(error)
            return
        _process.router().watch(self._deployment_id.app_name, self._deployment_id.name, self._update)
        self._update()

    @property
    def fifo(self) -> bool:
        """True when an answer serves whoever has waited longest."""
        return isinstance(self._router, FIFOMixin)

    # ---- replicas ----

    def _update(self) -> None:
        """Adopts what is known of the deployment now."""
        assert self._router is not None
        known = json.loads(_process.router().describe(self._deployment_id.app_name, self._deployment_id.name))
        before, self._replicas = self._replicas, {}
        for facts in known["replicas"]:
            replica = before.get(facts["id"]) or replica_of(self._deployment_id, facts)
            was_alive = replica._alive
            replica._update(facts, known["max_ongoing_requests"])
            self._replicas[facts["id"]] = replica
            if was_alive and not replica._alive:
                self._tell(self._router.on_replica_actor_unavailable, replica.replica_id)
        for unique_id, replica in before.items():
            if unique_id not in self._replicas and not replica._alive:
                self._tell(self._router.on_replica_actor_died, replica.replica_id)
        self._tell(self._router.update_replicas, list(self._replicas.values()))
        self._news.set()
        self._news = asyncio.Event()

    def _tell(self, hook: Callable[..., Any], *args: Any) -> None:
        try:
            hook(*args)
        except Exception:
            logger.exception("The request router's %s failed.", getattr(hook, "__name__", hook))

    # ---- requests ----

    def choose(self, caller: int, params_json: str, frame: bytes, done: _core.Done) -> None:
        """Asks the user's router about a request; ``frame`` is empty when it is known already."""
        if self._router is None:
            done.fail(self._broken)
            return
        params = json.loads(params_json)
        key = (caller, params["request"])
        task = self._loop.create_task(self._choose(self._router, key, params, frame, done))
        self._tasks[key] = task
        task.add_done_callback(lambda ended: self._forget(key, ended))

    def _forget(self, key: _Key, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def _choose(
        self, router: RequestRouter, key: _Key, params: dict[str, Any], frame: bytes, done: _core.Done
    ) -> None:
        router._num_pending += 1
        try:
            if key not in self._pending:
                self._pending[key] = PendingRequest._of(frame, f"{key[0]}-{key[1]}")
            candidates = await self._candidates(params["replicas"])
            asking.set(Caller(params["node"], params["near"]))
            ranked = _ids(await router.choose_replicas(candidates, self._pending[key]))
        except asyncio.CancelledError:
            # Its request is over, but a FIFO answer may be somebody else's, who then asks anew.
            done.ok(json.dumps({"ranked": []}))
            raise
        except BaseException as error:  # the user's code, whatever it raises
            logger.exception("choose_replicas failed.")
            done.fail(traceback_of(error))
        else:
            done.ok(json.dumps({"ranked": ranked}))
        finally:
            router._num_pending -= 1

    async def _candidates(self, seen: list[dict[str, Any]]) -> list[RunningReplica]:
        """The replicas that the caller and this process know; waits until there are some."""
        while True:
            candidates = []
            for facts in seen:
                replica = self._replicas.get(facts["id"])
                if replica is None:
                    continue
                replica._ongoing, replica._open = facts["ongoing"], facts["open"]
                candidates.append(replica)
            if candidates:
                return candidates
            await self._news.wait()

    def routed(self, caller: int, request: int, replica: str) -> None:
        """The request was sent to that replica."""
        key = (caller, request)
        pending = self._pending.get(key)
        if self._router is None or pending is None:
            return
        replica_id = ReplicaID(replica, self._deployment_id)
        self._sent[key] = replica_id
        result = ReplicaResult(pending.metadata.request_id, replica_id)
        self._tell(self._router.on_request_routed, pending, replica_id, result)

    def ended(self, caller: int, request: int) -> None:
        """The request is over, or was dropped before it was sent."""
        key = (caller, request)
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()
        pending, sent = self._pending.pop(key, None), self._sent.pop(key, None)
        if self._router is not None and pending is not None and sent is not None:
            self._tell(self._router.on_request_completed, sent, pending.metadata.internal_request_id)

    def gone(self, caller: int) -> None:
        """A caller's process has ended, and with it its requests."""
        for key in [key for key in self._pending if key[0] == caller]:
            self.ended(*key)
