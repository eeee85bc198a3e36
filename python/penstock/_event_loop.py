"""asyncio in processes whose native loop it drives."""

from __future__ import annotations

import asyncio

from penstock import _core

__all__ = ["drive", "new_event_loop"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it can be had."""
    try:
        import uvloop
    except ImportError:  # a platform without it
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def drive(native: _core.Loop, loop: asyncio.AbstractEventLoop) -> None:
    """Gives the native loop its turns."""
    native.set_outside_turn_hook(lambda: loop.call_soon(native.run_once))
    loop.add_reader(native.fileno(), native.run_once)
