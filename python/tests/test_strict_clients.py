"""Strict peers: h11 as an HTTP/1.1 client, wsproto as a WebSocket client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Optional

import h11
import pytest
from conftest import App, Deployer
from fastapi import FastAPI, Request, Response, WebSocket
from instances import Instance, embedded
from probes import QUICK
from ray import serve
from starlette.responses import StreamingResponse
from waiting import wait_until
from ws_echo import echo_messages
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws_events
from wsproto.frame_protocol import CloseReason


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(http_options={"request_head_timeout_s": 0.5, "request_body_timeout_s": 0.5}, num_cpus=8) as running:
        yield running


app = FastAPI()


@serve.deployment(max_ongoing_requests=50, **QUICK)
@serve.ingress(app)
class Mirror:
    def __init__(self) -> None:
        self.codes: list[int] = []

    @app.api_route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
    async def echo(self, request: Request) -> Response:
        return Response(await request.body(), headers={"x-method": request.method})

    @app.api_route("/stream", methods=["GET", "POST"])
    async def stream(self, request: Request) -> StreamingResponse:
        body = await request.body()
        return StreamingResponse(body[i : i + 70_000] for i in range(0, len(body), 70_000))

    @app.get("/status/{status}")
    def status(self, status: int) -> Response:
        return Response(status_code=status)

    @app.get("/codes")
    def get_codes(self) -> list[int]:
        return self.codes

    @app.websocket("/ws")
    async def ws(self, ws: WebSocket) -> None:
        await echo_messages(ws, self.codes)


@pytest.fixture(scope="module")
def mirror(deploy_once: Deployer) -> App:
    return deploy_once(Mirror.bind())


# ---- HTTP/1.1 ----


class Reply:
    """A whole reply, as h11 understood it."""

    def __init__(self, head: Any, body: bytes) -> None:
        self.status = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.body = body


class Strict:
    """One connection. h11 raises RemoteProtocolError for whatever breaks the protocol."""

    def __init__(self, app: App) -> None:
        self._prefix = f"/{app.name}"
        self.socket = socket.create_connection(("127.0.0.1", app.instance.http_port), timeout=20)
        self._h11 = h11.Connection(h11.CLIENT)
        self.informed: list[int] = []  # 1xx statuses

    def send_head(self, method: str, path: str, **headers: str) -> None:
        named = [("Host", "h"), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self._send(h11.Request(method=method, target=self._prefix + path, headers=named))

    def send_body(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._send(h11.Data(data=piece))
        self._send(h11.EndOfMessage())

    def _send(self, event: Any) -> None:
        data = self._h11.send(event)
        if data:
            self.socket.sendall(data)

    def _next(self) -> Any:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._h11.receive_data(self.socket.recv(65536))

    def until_continue(self) -> None:
        event = self._next()
        assert isinstance(event, h11.InformationalResponse)
        self.informed.append(event.status_code)

    def reply(self) -> Reply:
        head = self._next()
        while isinstance(head, h11.InformationalResponse):
            self.informed.append(head.status_code)
            head = self._next()
        assert isinstance(head, h11.Response)
        body = b""
        while isinstance(event := self._next(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        return Reply(head, body)

    def again(self) -> None:
        """The connection must be good for another request."""
        self._h11.start_next_cycle()

    def ended(self) -> bool:
        """Waits for the end of the connection; False when more came."""
        return self._h11.their_state is h11.MUST_CLOSE and self.socket.recv(1) == b""


@pytest.fixture
def strict(mirror: App) -> Iterator[Strict]:
    connection = Strict(mirror)
    yield connection
    connection.socket.close()


BODIES = [b"", b"x", b"y" * 65_536, b"z" * 300_001]


@pytest.mark.parametrize("path", ["/echo", "/stream"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bodies_both_ways_again_and_again(strict: Strict, path: str, framing: str) -> None:
    for body in BODIES:
        size = {"Content_Length": str(len(body))} if framing == "length" else {"Transfer_Encoding": "chunked"}
        strict.send_head("POST", path, **size)
        strict.send_body(*(body[i : i + 50_000] for i in range(0, len(body), 50_000)))
        reply = strict.reply()
        assert (reply.status, reply.body) == (200, body)
        assert ("transfer-encoding" in reply.headers) == (path == "/stream" and body != b"")
        strict.again()


@pytest.mark.parametrize("status", [200, 204, 304, 404])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_replies_that_have_no_body(strict: Strict, method: str, status: int) -> None:
    for _ in range(2):
        strict.send_head(method, f"/status/{status}")
        strict.send_body()
        reply = strict.reply()
        assert reply.body == b""
        assert reply.status in (status, 405)  # FastAPI makes no HEAD of a GET
        if status == 204 and method == "GET":
            assert "content-length" not in reply.headers
        strict.again()


def test_expect_continue_is_answered_before_the_body_is_sent(strict: Strict) -> None:
    strict.send_head("POST", "/echo", Expect="100-continue", Content_Length="200000")
    strict.until_continue()
    strict.send_body(b"b" * 200_000)
    assert strict.reply().body == b"b" * 200_000
    assert strict.informed == [100]
    strict.again()
    strict.send_head("POST", "/echo", Content_Length="2")
    strict.send_body(b"ok")
    assert strict.reply().body == b"ok"
    assert strict.informed == [100]  # who does not expect one gets none


def test_expect_continue_of_what_is_refused_is_not_encouraged(mirror: App, instance: Instance) -> None:
    with socket.create_connection(("127.0.0.1", instance.http_port), timeout=20) as link:
        link.sendall(b"POST /nobody HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("path", ["/echo", "/stream"])
def test_connection_close_is_kept(strict: Strict, path: str) -> None:
    strict.send_head("POST", path, Connection="close", Content_Length="4")
    strict.send_body(b"last")
    reply = strict.reply()
    assert reply.body == b"last"
    assert reply.headers["connection"] == "close"
    assert strict.ended()


def _raw(app: App, *parts: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", app.instance.http_port), timeout=20) as link:
        for part in parts:
            link.sendall(part.replace(b"/APP", f"/{app.name}".encode()))
        received = b""
        while piece := link.recv(65536):
            received += piece
    return received


def _parsed(received: bytes, methods: list[str]) -> list[Reply]:
    """Replies one after another, to requests of these methods."""
    replies = []
    connection: Optional[h11.Connection] = None
    rest = received
    for method in methods:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(rest)
        connection.receive_data(b"")
        head, body = connection.next_event(), b""
        assert isinstance(head, h11.Response)
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        replies.append(Reply(head, body))
        rest = connection.trailing_data[0]
    assert rest == b""
    return replies


def test_pipelined_requests_of_all_kinds(mirror: App) -> None:
    received = _raw(
        mirror,
        b"GET /APP/status/204 HTTP/1.1\r\nHost: h\r\n\r\n"
        b"POST /APP/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
        b"POST /APP/stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        b"HEAD /APP/echo HTTP/1.1\r\nHost: h\r\n\r\n"
        b"GET /-/healthz HTTP/1.1\r\nHost: h\r\n\r\n"
        b"PUT /APP/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthree",
    )
    replies = _parsed(received, ["GET", "POST", "POST", "HEAD", "GET", "PUT"])
    assert [(reply.status, reply.body) for reply in replies if reply.status != 405] == [
        (204, b""),
        (200, b"one"),
        (200, b"two"),
        (200, b"success"),
        (200, b"three"),
    ]


@pytest.mark.parametrize("path", ["echo", "stream"])
@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"], ids=["plain", "keep-alive"])
def test_http_1_0(mirror: App, path: str, keep: bytes) -> None:
    request = b"POST /APP/%s HTTP/1.0\r\n%sContent-Length: 3\r\n\r\nold" % (path.encode(), keep)
    second = b"POST /APP/echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nend"
    # A stream ends with the connection; with a length it goes on, if the client wants it.
    goes_on = bool(keep) and path == "echo"
    received = _raw(mirror, request, *([second] if goes_on else []))
    replies = _parsed(received, ["POST"] * (2 if goes_on else 1))
    assert [reply.body for reply in replies] == ([b"old", b"end"] if goes_on else [b"old"])
    assert all("transfer-encoding" not in reply.headers for reply in replies)
    assert replies[-1].headers["connection"] == "close"


def test_a_body_that_stops_is_a_408(mirror: App) -> None:
    (reply,) = _parsed(_raw(mirror, b"POST /APP/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx"), ["POST"])
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert reply.body == b"Nothing of the request's body arrived for 0.5s."


def test_a_head_that_trickles_is_a_408(mirror: App) -> None:
    (reply,) = _parsed(_raw(mirror, b"GET /APP/echo HTTP/1.1\r\nHost: h\r\nX-Slow: "), ["GET"])
    assert (reply.status, reply.headers["connection"]) == (408, "close")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /APP/" + b"x" * 70_000,
        b"GET /APP HTTP/1.1\r\nX: " + b"x" * 70_000,
        b"GET /APP HTTP/1.1\r\n" + b"a: b\r\n" * 300,
    ],
    ids=["target", "header", "headers"],
)
def test_a_head_that_is_too_large_is_a_431(mirror: App, head: bytes) -> None:
    (reply,) = _parsed(_raw(mirror, head), ["GET"])
    assert (reply.status, reply.headers["connection"]) == (431, "close")


# ---- WebSocket ----


class StrictSocket:
    """One WebSocket. wsproto raises RemoteProtocolError for whatever breaks the protocol."""

    def __init__(self, app: App) -> None:
        self.socket = socket.create_connection(("127.0.0.1", app.instance.http_port), timeout=20)
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._events: list[Any] = []
        self.send(ws_events.Request(host="h", target=f"/{app.name}/ws"))
        assert isinstance(self.next(), ws_events.AcceptConnection)

    def send(self, event: Any) -> None:
        self.socket.sendall(self._ws.send(event))

    def next(self) -> Any:
        while not self._events:
            data = self.socket.recv(65536)
            self._ws.receive_data(data or None)
            self._events.extend(self._ws.events())
        return self._events.pop(0)

    def message(self) -> Any:
        """The next message, whole."""
        event = self.next()
        data = event.data
        while not event.message_finished:
            event = self.next()
            data += event.data
        return data

    def frame(self, opcode: int, payload: bytes, *, final: bool = True, masked: bool = True) -> None:
        """Sends one frame as it is, whether or not it is allowed."""
        assert len(payload) < 126
        self.socket.sendall(bytes([opcode | (0x80 if final else 0), len(payload) | (0x80 if masked else 0)]))
        self.socket.sendall((b"\0\0\0\0" if masked else b"") + payload)

    def closed_with(self) -> int:
        event = self.next()
        assert isinstance(event, ws_events.CloseConnection), event
        return int(event.code)

    def close(self, code: int = 1000) -> None:
        self.send(ws_events.CloseConnection(code=code))
        assert self.closed_with() == code
        assert self.socket.recv(1) == b""  # the server ends the connection


@pytest.fixture
def ws(mirror: App) -> Iterator[StrictSocket]:
    connection = StrictSocket(mirror)
    yield connection
    connection.socket.close()


def test_messages_of_all_sizes(ws: StrictSocket) -> None:
    for size in (0, 1, 125, 126, 127, 65_535, 65_536, 200_000):
        ws.send(ws_events.BytesMessage(data=b"b" * size))
        assert ws.message() == b"b" * size
        ws.send(ws_events.TextMessage(data="ü" * size))
        assert ws.message() == "ü" * size
    ws.close()


def test_fragments_and_what_comes_between_them(ws: StrictSocket) -> None:
    ws.frame(0x1, b"gr", final=False)
    ws.frame(0x0, "ü".encode()[:1], final=False)  # a character in two frames
    ws.frame(0x9, b"between")  # a ping may come between
    pong = ws.next()
    assert isinstance(pong, ws_events.Pong)
    assert bytes(pong.payload) == b"between"
    ws.frame(0x0, "ü".encode()[1:] + b"n", final=False)
    ws.frame(0x0, b"")
    assert ws.message() == "grün"
    ws.close()


def test_pings_are_answered_and_pongs_are_not(ws: StrictSocket) -> None:
    for payload in (b"", b"p" * 125):
        ws.send(ws_events.Ping(payload=payload))
        assert bytes(ws.next().payload) == payload
    ws.send(ws_events.Pong(payload=b"unasked"))
    ws.send(ws_events.TextMessage(data="next"))
    assert ws.message() == "next"
    ws.close()


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_a_clients_code_comes_back_and_reaches_the_handler(mirror: App, ws: StrictSocket, code: int) -> None:
    ws.close(code)
    wait_until(lambda: code in mirror.get("/codes").json(), "the handler learns it")


def test_a_close_without_a_code(mirror: App, ws: StrictSocket) -> None:
    ws.frame(0x8, b"")
    assert ws.closed_with() in (CloseReason.NO_STATUS_RCVD, CloseReason.NORMAL_CLOSURE)
    wait_until(lambda: 1005 in mirror.get("/codes").json(), "the handler learns that there was none")


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(0x1, b"\xff\xfe", {})], 1007),
        ([(0x1, b"\xc3", {"final": False}), (0x0, b"\x28", {})], 1007),
        ([(0x1, b"\xed\xa0\x80", {})], 1007),  # half of a surrogate pair
        ([(0x1, b"\xf4\x90\x80\x80", {})], 1007),  # beyond Unicode
        ([(0x1, b"\xc3", {})], 1007),  # ends inside a character
        ([(0x0, b"goes on", {})], 1002),  # nothing to go on with
        ([(0x1, b"a", {"final": False}), (0x1, b"b", {})], 1002),  # a message inside another
        ([(0x3, b"", {})], 1002),  # reserved kinds
        ([(0xB, b"", {})], 1002),
        ([(0x41, b"", {})], 1002),  # a reserved bit, without an extension
        ([(0x9, b"", {"final": False})], 1002),  # a ping in pieces
        ([(0x1, b"plain", {"masked": False})], 1002),  # clients mask
        ([(0x8, b"\x03", {})], 1002),  # half a code
        ([(0x8, b"\x03\xe7", {})], 1002),  # 999
        ([(0x8, b"\x03\xec", {})], 1002),  # 1004, reserved
        ([(0x8, b"\x03\xed", {})], 1002),  # 1005 is never sent
        ([(0x8, b"\x03\xee", {})], 1002),  # nor is 1006
        ([(0x8, b"\x03\xf7", {})], 1002),  # nor 1015
        ([(0x8, b"\x07\xd0", {})], 1002),  # 2000, of nobody
        ([(0x8, b"\x13\x88", {})], 1002),  # 5000
        ([(0x8, b"\x03\xe8\xff", {})], 1007),  # a reason that is no UTF-8
    ],
)
def test_what_breaks_the_protocol_is_closed_with_the_reason(
    mirror: App, ws: StrictSocket, frames: list[tuple[int, bytes, dict[str, bool]]], code: int
) -> None:
    for opcode, payload, how in frames:
        ws.frame(opcode, payload, **how)
    assert ws.closed_with() == code
    wait_until(lambda: code in mirror.get("/codes").json(), "the handler learns it")


def test_a_ping_that_is_too_long_is_a_1002(ws: StrictSocket) -> None:
    ws.socket.sendall(b"\x89\xfe\x00\x7e" + b"\0\0\0\0" + b"x" * 126)
    assert ws.closed_with() == 1002


def test_a_message_that_is_too_large_is_a_1009(ws: StrictSocket) -> None:
    ws.socket.sendall(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0" + b"x")
    assert ws.closed_with() == 1009
