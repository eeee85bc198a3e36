"""What user code says for request routers: its stats, every so often, and once what it is."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

__all__ = ["RoutingStats"]

logger = logging.getLogger("ray.serve")

_PERIOD_S, _TIMEOUT_S = 10.0, 30.0


class RoutingStats:
    """Calls ``record_routing_stats`` and ``record_replica_metadata``, and announces what they return."""

    def __init__(self, servable: Any, announce: Callable[[str], None]) -> None:
        self._servable = servable
        self._announce = announce
        self._told: dict[str, Any] = {"routing_stats": {}, "replica_metadata": {}}
        self._period_s, self._timeout_s = _PERIOD_S, _TIMEOUT_S
        self._thread: Optional[ThreadPoolExecutor] = None  # for sync methods: not behind requests
        self._task: Optional[asyncio.Task[None]] = None
        self._changed = asyncio.Event()

    def configure(self, request_router_config: Optional[dict[str, Any]]) -> None:
        """Period and time-out, of ``request_router_config``; from now on."""
        config = request_router_config or {}
        self._period_s = float(config.get("request_routing_stats_period_s", _PERIOD_S))
        self._timeout_s = float(config.get("request_routing_stats_timeout_s", _TIMEOUT_S))
        self._changed.set()

    async def start(self) -> None:
        """Asks for what there is, and goes on asking for the stats."""
        if self._defines("record_replica_metadata"):
            self._told["replica_metadata"] = await self._ask("record_replica_metadata")
            self._announce(json.dumps(self._told))
        if self._defines("record_routing_stats"):
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """No more questions."""
        if self._task is not None:
            self._task.cancel()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _defines(self, name: str) -> bool:
        return callable(getattr(self._servable, name, None))

    async def _ask(self, name: str) -> dict[str, Any]:
        """What the method returns. TypeError when that is no dict of JSON values."""
        method = getattr(self._servable, name)
        if inspect.iscoroutinefunction(method):
            told = await method()
        else:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="routing_stats")
            told = await asyncio.get_running_loop().run_in_executor(self._thread, method)
        if not isinstance(told, dict):
            raise TypeError(f"`{name}` must return a dict, got {told!r}.")
        json.dumps(told)
        return told

    async def _run(self) -> None:
        while True:
            try:
                self._told["routing_stats"] = await asyncio.wait_for(self._ask("record_routing_stats"), self._timeout_s)
                self._announce(json.dumps(self._told))
            except asyncio.TimeoutError:
                logger.warning("record_routing_stats did not return within %s s.", self._timeout_s)
            except Exception:
                logger.exception("record_routing_stats failed; routers keep what it said before.")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), self._period_s)
            except asyncio.TimeoutError:
                continue
