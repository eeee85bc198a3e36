"""What an echo over a WebSocket does, for deployments of tests. Replicas import this."""

from __future__ import annotations

from fastapi import WebSocket, WebSocketDisconnect

__all__ = ["echo_messages"]


async def echo_messages(ws: WebSocket, codes: list[int]) -> None:
    """Says each message again until the client leaves; its close code goes to ``codes``."""
    await ws.accept()
    try:
        while True:
            message = await ws.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if message.get("text") is not None:
                await ws.send_text(message["text"])
            else:
                await ws.send_bytes(message["bytes"])
    except WebSocketDisconnect as left:
        codes.append(left.code)
