"""WebSockets through the proxy, with another implementation as the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import App, Deployer
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from instances import Instance, embedded
from ray import serve
from starlette.responses import PlainTextResponse
from waiting import wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from ws_echo import echo_messages


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


def _application() -> serve.Application:
    app = FastAPI()

    @serve.deployment(max_ongoing_requests=50)
    @serve.ingress(app)
    class Chat:
        def __init__(self) -> None:
            self.codes: list[int] = []
            self.seen: list[int] = []

        @app.get("/codes")
        def get_codes(self) -> list[int]:
            return self.codes

        @app.get("/seen")
        def get_seen(self) -> list[int]:
            return self.seen

        @app.websocket("/echo")
        async def echo(self, ws: WebSocket) -> None:
            await echo_messages(ws, self.codes)

        @app.websocket("/count")
        async def count(self, ws: WebSocket) -> None:
            await ws.accept()
            seen = 0
            try:
                while True:
                    await ws.receive_bytes()
                    seen += 1
            except WebSocketDisconnect:
                self.seen.append(seen)

        @app.websocket("/close/{code}")
        async def close(self, ws: WebSocket, code: int) -> None:
            await ws.accept(subprotocol="v2" if "v2" in ws.scope["subprotocols"] else None)
            await ws.close(code, "reason")

        @app.websocket("/return")
        async def just_return(self, ws: WebSocket) -> None:
            await ws.accept()

        @app.websocket("/boom")
        async def boom(self, ws: WebSocket) -> None:
            await ws.accept()
            raise ValueError("boom")

        @app.websocket("/refuse")
        async def refuse(self, ws: WebSocket) -> None:
            await ws.close()

        @app.websocket("/deny")
        async def deny(self, ws: WebSocket) -> None:
            await ws.send_denial_response(PlainTextResponse("members only", status_code=402))

    return Chat.bind()


@pytest.fixture(scope="module")
def chat(instance: Instance) -> Iterator[App]:
    deployer = Deployer(instance)
    yield deployer(_application())
    deployer.delete_all()


def _connect(chat: App, path: str, **options: Any) -> ClientConnection:
    return connect(chat.instance.url(f"/{chat.name}{path}").replace("http", "ws", 1), **options)


def test_text_and_bytes_both_ways(chat: App) -> None:
    with _connect(chat, "/echo") as ws:
        for message in ("grüße", b"\x00\xff", "", b"", "x" * 300_000, b"y" * 1_000_000):
            ws.send(message)
            assert ws.recv(timeout=20) == message


def test_fragments_are_one_message(chat: App) -> None:
    with _connect(chat, "/echo") as ws:
        ws.send(["one", " ", "two"])
        assert ws.recv(timeout=20) == "one two"
        assert ws.ping().wait(20)


def test_the_handler_learns_the_clients_code(chat: App) -> None:
    with _connect(chat, "/echo") as ws:
        ws.close(4007, "enough")
    wait_until(lambda: 4007 in chat.get("/codes").json(), "the code arrives")


def test_a_client_that_vanishes_is_1006(chat: App) -> None:
    with _connect(chat, "/echo") as ws:
        ws.send("here")
        assert ws.recv(timeout=20) == "here"
        ws.socket.shutdown(2)
    wait_until(lambda: 1006 in chat.get("/codes").json(), "the loss is noticed")


def test_nothing_sent_before_the_close_is_lost(chat: App) -> None:
    with _connect(chat, "/count") as ws:
        for _ in range(40):
            ws.send(b"z" * 50_000)
    wait_until(lambda: chat.get("/seen").json() == [40], "every message was seen")


@pytest.mark.parametrize(("path", "code"), [("/close/4001", 4001), ("/return", 1000), ("/boom", 1011)])
def test_the_client_learns_how_it_ended(chat: App, path: str, code: int) -> None:
    with _connect(chat, path) as ws:
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
        assert ws.close_code == code


def test_subprotocols_are_agreed(chat: App) -> None:
    with _connect(chat, "/close/1000", subprotocols=["v1", "v2"]) as ws:
        assert ws.subprotocol == "v2"


@pytest.mark.parametrize(("path", "status"), [("/refuse", 403), ("/nowhere", 403), ("/deny", 402)])
def test_a_refusal_is_an_http_reply(chat: App, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        _connect(chat, path)
    assert refused.value.response.status_code == status
    if status == 402:
        assert refused.value.response.body == b"members only"


def test_a_deployment_without_asgi_refuses(instance: Instance, deploy: Deployer) -> None:
    @serve.deployment
    class Plain:
        def __call__(self, request: Any) -> str:
            return "http only"

    plain = deploy(Plain.bind())
    with pytest.raises(InvalidStatus) as refused:
        _connect(plain, "/")
    assert refused.value.response.status_code == 403


def test_no_route_is_404(chat: App) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(chat.instance.url("/nobody-here").replace("http", "ws", 1))
    assert refused.value.response.status_code == 404


def test_a_frame_that_breaks_the_protocol_is_closed_with_1002(chat: App) -> None:
    with _connect(chat, "/echo") as ws:
        ws.socket.sendall(b"\xff\x80\0\0\0\0")  # reserved bits set
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
        assert ws.close_code == 1002
