"""The agent's steps, carried out in Python: load, construct, reconfigure, check, say farewell."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import math
import pickle
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

from penstock import _core, _metrics
from penstock._replica.asgi import AsgiApp
from penstock._replica.invoke import Invoker
from penstock._replica.logs import ReplicaLog
from penstock._replica.reconfigure import reconfigure, takes_rank
from penstock._replica.routing_stats import RoutingStats
from penstock._replica.runners import Runners
from penstock.serve._farewell import say_farewell
from penstock.serve.context import (
    DeploymentID,
    ReplicaContext,
    ReplicaID,
    ReplicaRank,
    get_replica_context,
    set_replica_context,
)
from penstock.serve.gang import GangContext
from penstock.serve.ingress import ingress_of
from penstock.serve.multiplex import unload_all

__all__ = ["ReplicaCode"]

logger = logging.getLogger("ray.serve")

_STEPS_PER_UNIT = 10_000  # amounts travel as steps of 1e-4


def _amounts(allocation: dict[str, Any]) -> dict[str, float]:
    hidden = "node:__internal_implicit_resource_"
    amounts = allocation["amounts"].items()
    return {name: steps / _STEPS_PER_UNIT for name, steps in amounts if not name.startswith(hidden)}


def _gang(replica: dict[str, Any], gang: dict[str, Any]) -> Optional[GangContext]:
    if not gang["id"]:
        return None
    return GangContext(
        gang_id=gang["id"],
        rank=gang["rank"],
        world_size=len(gang["members"]),
        member_replica_ids=gang["members"],
        pg_name=f"SERVE_GANG::{replica['app']}_{replica['deployment']}_{gang['id']}",
    )


def _context(assignment: dict[str, Any], servable: Any) -> ReplicaContext:
    replica = assignment["replica"]
    return ReplicaContext(
        replica_id=ReplicaID(replica["unique"], DeploymentID(replica["deployment"], replica["app"])),
        servable_object=servable,
        rank=ReplicaRank(**assignment["rank"]),
        world_size=assignment["world_size"],
        gang_context=_gang(replica, assignment["gang"]),
        assigned_resources=_amounts(assignment["allocation"]),
        device_ids=assignment["device_ids"],
        node_id=assignment["node"]["id"],
        runtime_env=(assignment["options"].get("ray_actor_options") or {}).get("runtime_env") or {},
        max_ongoing_requests=assignment.get("max_ongoing_requests"),
    )


def _thread_count(resources: dict[str, float]) -> int:
    """Ray Serve's size for the pool of sync methods."""
    return min(32, max(1, math.ceil(resources.get("CPU", 0))) + 4)


class ReplicaCode:
    """What the native runtime calls; every method runs on the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: ReplicaLog) -> None:
        self._loop = loop
        self._log = log
        self._servable: Any = None
        self._asgi: Optional[AsgiApp] = None
        self._user_config: Any = None
        #: Begins a request, and ends one that nobody waits for; set by ``initialize``.
        self.start: Callable[[_core.ReplicaCall], None]
        self.cancel: Callable[[_core.ReplicaCall], None]
        self._runners: Optional[Runners] = None
        self._routing_stats: Optional[RoutingStats] = None
        #: Set before the agent's first step: tells routers what user code says for them.
        self.announce_stats: Callable[[str], None] = lambda stats: None
        # Of its own: a check must not wait behind requests.
        self._health_thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._steps: set[asyncio.Task[None]] = set()

    # ---- steps of the agent ----

    def initialize(self, assignment_json: str, done: _core.Done) -> None:
        """Loads the code, constructs it, reconfigures it, checks it once."""
        self._step(done, self._initialize(json.loads(assignment_json)))

    def reconfigure(self, change_json: str, done: _core.Done) -> None:
        """Tells user code of a new user_config."""
        self._step(done, self._reconfigure(json.loads(change_json)))

    def check_health(self, done: _core.Done) -> None:
        """Asks user code whether it is well."""
        self._step(done, self._check_health())

    def metrics(self) -> str:
        """What this process counts, as JSON."""
        return _metrics.collect()

    def shutdown(self, done: _core.Done) -> None:
        """User code's ``__del__``."""
        self._step(done, self._shutdown())

    def _step(self, done: _core.Done, work: Any) -> None:
        async def carry_out() -> None:
            try:
                facts = await work
            except BaseException as error:  # SystemExit too: user code failed, whatever it raised
                done.fail("".join(traceback.format_exception(type(error), error, error.__traceback__)))
            else:
                done.ok(json.dumps(facts))

        task = self._loop.create_task(carry_out())
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)

    async def _initialize(self, assignment: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        self._log.begin(assignment)
        launch = assignment["launch"]
        for entry in launch.get("sys_path", []):
            if entry not in sys.path:
                sys.path.append(entry)
        set_replica_context(_context(assignment, None))
        with open(launch["code_path"], "rb") as file:
            func_or_class, args, kwargs = pickle.load(file)
        loaded = time.monotonic()
        if launch.get("is_ingress"):
            import starlette.requests  # noqa: F401 - the first request should not pay for it
        self._servable = await self._construct(func_or_class, args, kwargs)
        context = _context(assignment, self._servable)
        set_replica_context(context)
        self._runners = Runners(self._loop, _thread_count(context.assigned_resources))
        self._asgi = await self._make_asgi(func_or_class)
        invoker = Invoker(self._loop, self._servable, self._runners, context, self._asgi)
        self.start, self.cancel = invoker.start, invoker.cancel
        self._user_config = assignment["user_config"]
        await reconfigure(self._servable, _name_of(self._servable), self._user_config, context.rank)
        await self._check_health()
        self._routing_stats = RoutingStats(self._servable, self.announce_stats)
        self._routing_stats.configure(assignment["options"].get("request_router_config"))
        self._routing_stats.configure_autoscaling(assignment["options"].get("autoscaling_config"))
        await self._routing_stats.start()
        ready = time.monotonic()
        own_check = callable(getattr(self._servable, "check_health", None))
        return {
            "startup": {"load_s": loaded - began, "init_s": ready - loaded},
            "checks_health": own_check,
        }

    async def _construct(self, func_or_class: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not inspect.isclass(func_or_class):
            return func_or_class
        servable = func_or_class.__new__(func_or_class)
        outcome = func_or_class.__init__(servable, *args, **kwargs)
        if inspect.isawaitable(outcome):
            await outcome
        return servable

    async def _make_asgi(self, func_or_class: Any) -> Optional[AsgiApp]:
        """The application of a class with ``@serve.ingress``, its lifespan begun."""
        ingress = ingress_of(func_or_class)
        if ingress is None:
            return None
        app = AsgiApp(await ingress.make(self._servable), self._servable)
        await app.start()
        return app

    async def _reconfigure(self, change: dict[str, Any]) -> None:
        replica = get_replica_context()
        replica.max_ongoing_requests = change["max_ongoing_requests"]
        if self._routing_stats is not None and "request_router_config" in change:
            self._routing_stats.configure(change["request_router_config"])
        if "logging" in change:
            self._log.configure(change["logging"])
        if "rank" in change:
            replica.rank = ReplicaRank(**change["rank"])
            replica.world_size = change["world_size"]
        if "user_config" in change:
            self._user_config = change["user_config"]
            await reconfigure(self._servable, _name_of(self._servable), self._user_config, replica.rank)
        elif "rank" in change and takes_rank(self._servable):
            try:
                await reconfigure(self._servable, _name_of(self._servable), self._user_config, replica.rank)
            except Exception:  # it serves as well as before: a rank is no reason to replace it
                logger.exception("reconfigure failed for a new rank.")

    async def _check_health(self) -> dict[str, Any]:
        check = getattr(self._servable, "check_health", None)
        if callable(check):
            if inspect.iscoroutinefunction(check):
                await check()
            else:
                await self._loop.run_in_executor(self._health_thread, check)
        return {"threads": self._runners.facts()} if self._runners is not None else {}

    async def _shutdown(self) -> None:
        """Runs ``__del__`` now, while the loop still works, and not a second time at exit."""
        if self._routing_stats is not None:
            self._routing_stats.stop()
        servable, self._servable = self._servable, None
        if self._asgi is not None:
            try:
                await self._asgi.stop()
            except Exception:  # its failure is no reason to leave the rest undone
                logger.exception("The application's lifespan did not end well.")
        await say_farewell(servable, "The deployment")
        await unload_all()

    def close(self) -> None:
        """Ends the threads; one that is stuck in user code does not hold up the process."""
        self._health_thread.shutdown(wait=False, cancel_futures=True)
        if self._runners is not None:
            self._runners.close()
        sys.stdout.flush()
        sys.stderr.flush()


def _name_of(servable: Any) -> str:
    return getattr(servable, "__name__", type(servable).__name__)
