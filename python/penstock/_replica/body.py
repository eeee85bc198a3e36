"""Bodies between asyncio and the native side: receiving, and waiting for room to send."""

from __future__ import annotations

import asyncio
from typing import Any, Callable

from penstock import _core

__all__ = ["Receive", "signal", "until_writable", "whole_body"]


async def signal(subscribe: Callable[[Callable[[], None]], None]) -> None:
    """Waits for a callback of the native side."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    subscribe(resolve)
    await future


async def whole_body(call: _core.ReplicaCall) -> bytes:
    """All of the request's body."""
    if call.body_ended:
        return call.take_body()
    whole = call.collect_body()
    while not call.body_ended:
        await signal(call.set_on_body)
    if call.cancelled:
        raise asyncio.CancelledError
    if whole is None:
        return call.take_body()
    # One that is shorter than announced must not show what was in that memory before.
    return whole if call.collected == len(whole) else whole[: call.collected]


async def until_writable(call: _core.ReplicaCall) -> None:
    """Waits while the reader is behind. CancelledError when it has gone."""
    while not call.writable and not call.cancelled:
        await signal(call.set_on_writable)
    if call.cancelled:
        raise asyncio.CancelledError


class Receive:
    """ASGI's ``receive``: the body in pieces, then the disconnect."""

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call
        self._ended = False

    async def __call__(self) -> dict[str, Any]:
        call = self._call
        if self._ended:
            # Nothing more comes but the news that the client has gone, or that all is said.
            while not call.cancelled and not call.ended:
                await signal(call.set_on_body)
            return {"type": "http.disconnect"}
        body = call.take_body()
        while not body and not call.body_ended:
            await signal(call.set_on_body)
            body = call.take_body()
        if call.cancelled:
            self._ended = True
            return {"type": "http.disconnect"}
        self._ended = call.body_ended
        return {"type": "http.request", "body": body, "more_body": not self._ended}
