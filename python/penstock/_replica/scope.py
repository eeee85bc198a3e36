"""The ASGI scope of a request."""

from __future__ import annotations

from typing import Any, Union
from urllib.parse import unquote

from penstock import _core

__all__ = ["make_scope", "make_websocket_scope"]

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
