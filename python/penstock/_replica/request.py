"""The request as user code sees it: a Starlette Request whose parts are made when asked for."""

from __future__ import annotations

from typing import Any, Callable, Generic, TypeVar, Union
from urllib.parse import unquote

from starlette.requests import Request

from penstock import _core
from penstock._replica.body import Receive, whole_body

__all__ = ["LazyRequest", "make_scope", "make_websocket_scope"]

_T = TypeVar("_T")
_ASGI = {"version": "3.0", "spec_version": "2.3"}


def _address(text: str) -> Any:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else None


def make_scope(call: Union[_core.ReplicaCall, _core.Request]) -> dict[str, Any]:
    """The ASGI scope of a request."""
    method, target, version, root_path, client, server = call.http()
    if not target.startswith(b"/"):  # an absolute URI
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    raw_path, _, query = target.partition(b"?")
    path = raw_path.decode("ascii", errors="surrogateescape")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "method": method,
        "scheme": "https" if call.secure else "http",
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": call.headers,
        "client": _address(client),
        "server": _address(server),
        "state": {},
    }


def make_websocket_scope(call: _core.ReplicaCall) -> dict[str, Any]:
    """The ASGI scope of a WebSocket."""
    scope = make_scope(call)
    offered = [value.decode("latin-1") for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
    scope.pop("method")
    scope.update(
        type="websocket",
        scheme="wss" if call.secure else "ws",
        subprotocols=[p.strip() for line in offered for p in line.split(",")],
        extensions={"websocket.http.response": {}},
    )
    return scope


class _Lazy(Generic[_T]):
    """An attribute made from the call when it is first read."""

    def __init__(self, make: Callable[[_core.ReplicaCall], _T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: Any = None) -> _T:
        value = self._make(request._call)
        request.__dict__[self._name] = value
        return value


async def _no_send(message: Any) -> None:
    raise RuntimeError("This request cannot send: return a response instead.")


class LazyRequest(Request):
    """A request of which nothing but its call is known until user code looks."""

    scope: Any = _Lazy(make_scope)
    _receive: Any = _Lazy(Receive)
    _send = staticmethod(_no_send)
    _stream_consumed = False
    _is_disconnected = False
    _form = None

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call  # and no more: super().__init__ would want the scope

    async def body(self) -> bytes:
        """The whole body."""
        if "_body" not in self.__dict__ and not self._stream_consumed:
            self._stream_consumed = True
            self._body = await whole_body(self._call)
        return await super().body()

    async def is_disconnected(self) -> bool:
        """True when nobody waits for the answer any more."""
        return bool(self._call.cancelled)
