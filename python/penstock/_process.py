"""This process's place in an instance: its native loop and its router.

A driver has a loop on a thread of its own, made when the first handle is used. A replica has one
that asyncio drives; it says so at start with ``adopt``.
"""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from typing import Optional

from penstock import _core, _metrics

__all__ = ["adopt", "close", "folder", "loop", "router", "router_on_node", "set_folder"]

_lock = threading.Lock()
_loop: Optional[_core.Loop] = None
_router: Optional[_core.Router] = None
_folder: Optional[str] = os.environ.get("PENSTOCK_INSTANCE")
_embedded = False
_node_known = False


def adopt(embedded_loop: _core.Loop) -> None:
    """In a replica: handles use this loop."""
    global _loop, _embedded
    _loop, _embedded = embedded_loop, True


def set_folder(path: Optional[str]) -> None:
    """In a driver: the instance that handles talk to; what spoke to another one is closed."""
    global _folder
    with _lock:
        if path != _folder:
            _close_router()
        _folder = path


def folder() -> Optional[str]:
    """The instance's folder, or None before there is one."""
    return _folder


def loop() -> _core.Loop:
    """The native loop."""
    global _loop
    if _loop is None:
        _loop = _core.Loop(own_thread=True)
        atexit.register(close)
    return _loop


def router() -> _core.Router:
    """The router of this process. RuntimeError without an instance."""
    global _router
    current = _router
    if current is not None:
        return current
    with _lock:
        if _router is None:
            if _folder is None:
                raise RuntimeError("There is no Penstock instance: call serve.start() or serve.run().")
            role = "replica" if _embedded else "driver"
            name = f"{role}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
            # A replica's own metrics are its agent's to ask for.
            _router = _core.Router(loop(), _folder, name, None if _embedded else _metrics.collect)
        return _router


def router_on_node() -> _core.Router:
    """The same, of which the node is known: for calls that prefer replicas of it. A script is on the head's."""
    global _node_known
    current = router()
    if not _node_known:
        from penstock._ray.runtime_context import get_runtime_context

        current.set_node(get_runtime_context().get_node_id())
        _node_known = True
    return current


def _close_router() -> None:
    global _router, _node_known
    if _router is not None:
        _router.close()
        _router = None
    _node_known = False


def close() -> None:
    """Ends every call under way, and the loop's thread if it has one."""
    global _loop
    with _lock:
        _close_router()
        if _loop is not None and not _embedded:
            _loop.close()
            _loop = None
