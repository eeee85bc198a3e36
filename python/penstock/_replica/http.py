"""HTTP on the replica's side: the request as user code sees it, its result as a reply.

The table of return values is Ray Serve's (behaviour specification, 6.2).
"""

from __future__ import annotations

import asyncio
import math
import sys
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import unquote

from penstock import _core
from penstock._replica.encode import to_json
from penstock.serve.exceptions import BackPressureError, DeploymentUnavailableError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["make_request", "respond", "respond_error", "until_writable", "whole_body"]

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_PLAIN = (b"content-type", b"text/plain")
_JSON = (b"content-type", b"application/json")
_INTERNAL_ERROR = b"Internal Server Error"


async def _signal(subscribe: Any) -> None:
    """Waits for a callback of the native side."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def resolve() -> None:
        if not future.done():
            future.set_result(None)

    subscribe(resolve)
    await future


async def whole_body(call: _core.ReplicaCall) -> bytes:
    """All of the request's body."""
    body = call.take_body()
    if call.body_ended:
        return body
    parts = [body]
    while not call.body_ended:
        await _signal(call.set_on_body)
        parts.append(call.take_body())
    return b"".join(parts)


async def until_writable(call: _core.ReplicaCall) -> None:
    """Waits while the reader is behind. CancelledError when it has gone."""
    while not call.writable and not call.cancelled:
        await _signal(call.set_on_writable)
    if call.cancelled:
        raise asyncio.CancelledError


def _address(text: str) -> Optional[tuple[str, int]]:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else None


class _Receive:
    """ASGI's ``receive``: the body in pieces, then the disconnect."""

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call
        self._ended = False

    async def __call__(self) -> dict[str, Any]:
        call = self._call
        if self._ended:
            # Nothing more comes but the news that the client has gone.
            while not call.cancelled:
                await _signal(call.set_on_body)
            return {"type": "http.disconnect"}
        body = call.take_body()
        while not body and not call.body_ended:
            await _signal(call.set_on_body)
            body = call.take_body()
        if call.cancelled:
            self._ended = True
            return {"type": "http.disconnect"}
        self._ended = call.body_ended
        return {"type": "http.request", "body": body, "more_body": not self._ended}


def make_scope(call: _core.ReplicaCall) -> dict[str, Any]:
    """The ASGI scope of a request."""
    target: bytes = call.target
    if not target.startswith(b"/"):  # an absolute URI
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    raw_path, _, query = target.partition(b"?")
    path = raw_path.decode("ascii", errors="surrogateescape")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": call.http_version,
        "method": call.method,
        "scheme": "http",
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": call.root_path,
        "headers": call.headers,
        "client": _address(call.client),
        "server": _address(call.server),
        "state": {},
    }


def make_request(call: _core.ReplicaCall) -> Request:
    """The request as a Starlette Request."""
    from starlette.requests import Request

    return Request(make_scope(call), _Receive(call))


class _Send:
    """ASGI's ``send``: waits while the client is behind."""

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call
        self._head: Optional[tuple[int, list[tuple[bytes, bytes]]]] = None

    async def __call__(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers = [(name.lower(), value) for name, value in message.get("headers", [])]
            self._head = (message["status"], headers)
        elif kind == "http.response.body":
            self._body(bytes(message.get("body", b"")), not message.get("more_body", False))
            await self._pause(message)
        else:
            raise RuntimeError(f"unexpected ASGI message '{kind}'")

    def _body(self, body: bytes, end: bool) -> None:
        if self._head is not None:
            (status, headers), self._head = self._head, None
            # A head alone goes out with the first piece, unless there is none yet.
            self._call.reply(status, headers, body, end)
        else:
            self._call.send(body, end)

    async def _pause(self, message: dict[str, Any]) -> None:
        if message.get("more_body", False):
            await until_writable(self._call)


def _is_response(result: Any) -> bool:
    responses = sys.modules.get("starlette.responses")
    return responses is not None and isinstance(result, responses.Response)


async def respond(call: _core.ReplicaCall, result: Any) -> None:
    """Answers with what user code returned. TypeError for what has no form in HTTP."""
    if isinstance(result, str):
        call.reply(200, [_TEXT], result.encode(), True)
    elif result is None:
        call.reply(200, [_PLAIN], b"", True)
    elif isinstance(result, bytes):
        call.reply(200, [_PLAIN], result, True)
    elif _is_response(result):
        await result(make_scope(call), _Receive(call), _Send(call))
    else:
        call.reply(200, [_JSON], to_json(result), True)


def respond_error(call: _core.ReplicaCall, error: BaseException) -> None:
    """Answers for user code that raised."""
    if call.cancelled:
        call.finish()
    elif call.replied:
        call.send(b"", True, failure=True)  # too late for a status: the reply is cut
    elif isinstance(error, BackPressureError):
        headers = [_TEXT]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(math.ceil(error.retry_after_s)).encode()))
        call.reply(error.status_code, headers, error.message.encode(), True)
    elif isinstance(error, DeploymentUnavailableError):
        call.reply(503, [_TEXT], str(error).encode(), True)
    else:
        call.reply(500, [], _INTERNAL_ERROR, True)
