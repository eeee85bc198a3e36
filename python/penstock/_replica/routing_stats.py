"""What user code says for those who decide about it: its stats, every so often, and once what it is."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

__all__ = ["RoutingStats"]

logger = logging.getLogger("ray.serve")

_PERIOD_S, _TIMEOUT_S = 10.0, 30.0
_AUTOSCALING_TIMEOUT_S = 10.0  # RAY_SERVE_RECORD_AUTOSCALING_STATS_TIMEOUT_S's default


class _Repeated:
    """A hook of the user's that is asked every so often."""

    def __init__(self, hook: str, period_s: float, timeout_s: float) -> None:
        self.hook = hook
        self.period_s, self.timeout_s = period_s, timeout_s
        self.changed = asyncio.Event()
        self.task: Optional[asyncio.Task[None]] = None


def _check_numbers(told: dict[str, Any]) -> None:
    for name, value in told.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"`record_autoscaling_stats` must return numbers, got {value!r} for {name!r}.")


class RoutingStats:
    """Calls ``record_routing_stats``, ``record_autoscaling_stats`` and ``record_replica_metadata``.

    What they return is announced to everybody who routes to this replica, custom routers and policies among them.
    """

    def __init__(self, servable: Any, announce: Callable[[str], None]) -> None:
        self._servable = servable
        self._announce = announce
        self._told: dict[str, Any] = {"routing_stats": {}, "replica_metadata": {}}
        self._routing = _Repeated("record_routing_stats", _PERIOD_S, _TIMEOUT_S)
        self._autoscaling: Optional[_Repeated] = None
        self._thread: Optional[ThreadPoolExecutor] = None  # for sync methods: not behind requests

    def configure(self, request_router_config: Optional[dict[str, Any]]) -> None:
        """Period and time-out, of ``request_router_config``; from now on."""
        config = request_router_config or {}
        self._routing.period_s = float(config.get("request_routing_stats_period_s", _PERIOD_S))
        self._routing.timeout_s = float(config.get("request_routing_stats_timeout_s", _TIMEOUT_S))
        self._routing.changed.set()

    def configure_autoscaling(self, autoscaling_config: Optional[dict[str, Any]]) -> None:
        """How often the autoscaler wants to know, of ``autoscaling_config``. Before the start."""
        if autoscaling_config is None:
            return
        look_back_s = float(autoscaling_config.get("look_back_period_s", 30))
        period_s = min(0.2 * look_back_s, float(autoscaling_config.get("metrics_interval_s", 10)))
        self._autoscaling = _Repeated("record_autoscaling_stats", period_s, _AUTOSCALING_TIMEOUT_S)

    async def start(self) -> None:
        """Asks for what there is, and goes on asking for the stats."""
        if self._defines("record_replica_metadata"):
            self._told["replica_metadata"] = await self._ask("record_replica_metadata")
            self._announce(json.dumps(self._told))
        for repeated in (self._routing, self._autoscaling):
            if repeated is not None and self._defines(repeated.hook):
                repeated.task = asyncio.get_running_loop().create_task(self._run(repeated))

    def stop(self) -> None:
        """No more questions."""
        for repeated in (self._routing, self._autoscaling):
            if repeated is not None and repeated.task is not None:
                repeated.task.cancel()
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

    async def _refresh(self, repeated: _Repeated) -> None:
        told = await asyncio.wait_for(self._ask(repeated.hook), repeated.timeout_s)
        if repeated is self._autoscaling:
            _check_numbers(told)
            self._told["autoscaling_stats"] = {"at": time.time(), "values": told}
        else:
            self._told["routing_stats"] = told
        self._announce(json.dumps(self._told))

    async def _run(self, repeated: _Repeated) -> None:
        while True:
            try:
                await self._refresh(repeated)
            except asyncio.TimeoutError:
                logger.warning("%s did not return within %s s.", repeated.hook, repeated.timeout_s)
            except Exception:
                logger.exception("%s failed; what it said before stays.", repeated.hook)
            repeated.changed.clear()
            try:
                await asyncio.wait_for(repeated.changed.wait(), repeated.period_s)
            except asyncio.TimeoutError:
                continue
