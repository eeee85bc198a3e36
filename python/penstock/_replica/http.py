"""HTTP on the replica's side: what user code returned or raised, as a reply.

The table of return values is Ray Serve's (behaviour specification, 6.2).
"""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any, Optional

from penstock import _core
from penstock._replica.body import Receive, until_writable
from penstock._replica.encode import to_json
from penstock._replica.scope import make_scope
from penstock.serve.exceptions import BackPressureError, DeploymentUnavailableError

__all__ = ["Reply", "Send", "respond", "respond_error", "whole_reply"]

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_PLAIN = (b"content-type", b"text/plain")
_JSON = (b"content-type", b"application/json")
_AS_TEXT = [_TEXT]
_AS_PLAIN = [_PLAIN]
_AS_JSON = [_JSON]
_INTERNAL_ERROR = b"Internal Server Error"


class Send:
    """ASGI's ``send``: waits while the client is behind."""

    def __init__(self, call: _core.ReplicaCall, scope: Optional[dict[str, Any]] = None) -> None:
        self._call = call
        self._scope = scope  # of an application: it writes there which of its routes it took
        self._head: Optional[tuple[int, list[tuple[bytes, bytes]]]] = None

    async def __call__(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            more = message.get("more_body", False)
            body = message.get("body", b"")
            self._body(body if type(body) is bytes else bytes(body), not more)
            if more and not self._call.writable:
                await until_writable(self._call)
        elif kind == "http.response.start":
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            self._head = (message["status"], headers)
        else:
            raise RuntimeError(f"unexpected ASGI message '{kind}'")

    def _body(self, body: bytes, end: bool) -> None:
        if self._head is not None:
            # The head goes out with the first piece of the body.
            (status, headers), self._head = self._head, None
            if self._scope is not None and "route" in self._scope:
                self._call.set_route(_route_of(self._scope))
            self._call.reply(status, headers, body, end)
        else:
            self._call.send(body, end)


def _route_of(scope: dict[str, Any]) -> str:
    """The pattern that an application matched, below its own prefix."""
    path = getattr(scope["route"], "path", "")
    return f"{scope['root_path']}{path}"


def _responses() -> Any:
    return sys.modules.get("starlette.responses")


Reply = tuple[int, list[tuple[bytes, bytes]], bytes]


def whole_reply(result: Any) -> Optional[Reply]:
    """(status, headers, body) for what user code returned; None for what takes its time to send itself.

    TypeError for what has no form in HTTP. Any thread.
    """
    if isinstance(result, str):
        return 200, _AS_TEXT, result.encode()
    if result is None:
        return 200, _AS_PLAIN, b""
    if isinstance(result, bytes):
        return 200, _AS_PLAIN, result
    responses = _responses()
    if responses is not None and isinstance(result, responses.Response):
        # One that is complete and sends itself in the ordinary way needs no ASGI.
        if type(result).__call__ is not responses.Response.__call__ or result.background is not None:
            return None
        return result.status_code, result.raw_headers, bytes(result.body)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError("A generator was returned: over HTTP, return a `StreamingResponse` that wraps it.")
    return 200, _AS_JSON, to_json(result)


async def respond(call: _core.ReplicaCall, result: Any) -> None:
    """Answers with what user code returned. TypeError for what has no form in HTTP."""
    reply = whole_reply(result)
    if reply is not None:
        call.reply(*reply, True)
        return
    await result(make_scope(call), Receive(call), Send(call))


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
        call.reply(503, _AS_TEXT, str(error).encode(), True)
    else:
        call.reply(500, [], _INTERNAL_ERROR, True)
