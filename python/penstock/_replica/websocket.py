"""A WebSocket on the replica's side, as ASGI sees it.

Messages travel as in src/base/ws_message.h: a kind, a length, the data.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Optional

from penstock import _core
from penstock._replica.body import until_writable

__all__ = ["WebSocketSession"]

_TEXT, _BINARY, _CLOSE = 1, 2, 3
_HEAD = struct.Struct("<BI")
_CODE = struct.Struct("<H")
_NORMAL, _ABNORMAL, _SERVER_ERROR = 1000, 1006, 1011
_FORBIDDEN = 403


class WebSocketSession:
    """``receive`` and ``send`` of one WebSocket."""

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call
        self._bytes = bytearray()
        self._connected = False  # the application has been told of the request
        self._accepted = False
        self._closed = False  # we have closed, or refused
        self._waits: Optional[asyncio.Future[None]] = None  # `receive` does
        call.set_on_body(self._on_body)
        self._denial: Optional[tuple[int, list[tuple[bytes, bytes]]]] = None

    # ---- receiving ----

    async def receive(self) -> dict[str, Any]:
        """The next event: connect, messages in order, disconnect with the client's code."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        call = self._call
        while True:
            message = self._next()
            if message is not None:
                return message
            piece = call.take_body()
            if piece:
                message = None if self._bytes else self._whole(piece)
                if message is not None:
                    return message
                self._bytes += piece
            elif call.cancelled or call.body_ended or call.ended:
                return {"type": "websocket.disconnect", "code": _NORMAL if self._closed else _ABNORMAL, "reason": ""}
            else:
                self._waits = asyncio.get_running_loop().create_future()
                await self._waits

    def _on_body(self) -> None:
        waits, self._waits = self._waits, None
        if waits is not None and not waits.done():
            waits.set_result(None)

    def _next(self) -> Optional[dict[str, Any]]:
        if len(self._bytes) < _HEAD.size:
            return None
        kind, size = _HEAD.unpack_from(self._bytes)
        end = _HEAD.size + size
        if len(self._bytes) < end:
            return None
        data = bytes(self._bytes[_HEAD.size : end])
        del self._bytes[:end]
        return self._event(kind, data)

    def _whole(self, piece: bytes) -> Optional[dict[str, Any]]:
        """The message that the piece is, if it is just one: nearly always."""
        if len(piece) < _HEAD.size:
            return None
        kind, size = _HEAD.unpack_from(piece)
        return self._event(kind, piece[_HEAD.size :]) if len(piece) == _HEAD.size + size else None

    def _event(self, kind: int, data: bytes) -> dict[str, Any]:
        if kind == _TEXT:
            return {"type": "websocket.receive", "text": data.decode()}
        if kind == _BINARY:
            return {"type": "websocket.receive", "bytes": data}
        self._call.set_status(_CODE.unpack_from(data)[0])
        return {"type": "websocket.disconnect", "code": _CODE.unpack_from(data)[0], "reason": data[2:].decode()}

    # ---- sending ----

    async def send(self, message: dict[str, Any]) -> None:
        """Sends an event. OSError when the client has gone, RuntimeError for one out of order."""
        call = self._call
        if call.cancelled:
            raise OSError("the client of this WebSocket has gone")
        kind = message["type"]
        if kind == "websocket.send" and self._accepted and not self._closed:
            text = message.get("text")
            if text is not None:
                self._message(_TEXT, text.encode())
            else:
                self._message(_BINARY, bytes(message["bytes"]))
            if not call.writable:
                await until_writable(call)
        elif kind == "websocket.accept" and not self._accepted and not self._closed:
            self._accept(message)
        elif kind == "websocket.close" and not self._closed:
            self._close(message)
        elif kind.startswith("websocket.http.response.") and not self._accepted:
            self._deny(kind, message)
        else:
            raise RuntimeError(f"unexpected ASGI message '{kind}'")

    def _accept(self, message: dict[str, Any]) -> None:
        self._accepted = True
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        if message.get("subprotocol") is not None:
            headers.append((b"sec-websocket-protocol", message["subprotocol"].encode("latin-1")))
        self._call.reply(101, headers, b"", False)

    def _close(self, message: dict[str, Any]) -> None:
        if not self._accepted:
            return self.refuse()
        self._closed = True
        reason = (message.get("reason") or "").encode()
        code = _CODE.pack(message.get("code", _NORMAL))
        self._call.set_status(message.get("code", _NORMAL))
        self._call.send(_HEAD.pack(_CLOSE, len(code) + len(reason)) + code + reason, True)
        return None

    def _deny(self, kind: str, message: dict[str, Any]) -> None:
        """A refusal with a status and body of the application's choice."""
        if kind == "websocket.http.response.start":
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            self._denial = (message["status"], headers)
            return
        body, end = bytes(message.get("body", b"")), not message.get("more_body", False)
        self._closed = end
        if self._denial is not None:
            (status, headers), self._denial = self._denial, None
            self._call.reply(status, headers, body, end)
        else:
            self._call.send(body, end)

    def _message(self, kind: int, data: bytes) -> None:
        self._call.send(_HEAD.pack(kind, len(data)) + data, False)

    # ---- the end ----

    def refuse(self) -> None:
        """Answers the request without opening a WebSocket."""
        self._closed = True
        self._call.reply(_FORBIDDEN, [], b"", True)

    def end(self) -> None:
        """The application has returned."""
        if self._call.cancelled:
            self._call.set_status(_ABNORMAL)
            self._call.finish()
        elif not self._closed and self._accepted:
            self._close({})
        elif not self._closed:
            raise RuntimeError("ASGI callable returned without accepting or closing the WebSocket.")

    def fail(self) -> None:
        """The application has raised."""
        if self._call.cancelled or self._closed:
            self._call.finish()
        elif self._accepted:
            self._call.set_status(_SERVER_ERROR)
            self._call.send(b"", True, failure=True)
        else:
            self._closed = True
            self._call.reply(500, [], b"Internal Server Error", True)
