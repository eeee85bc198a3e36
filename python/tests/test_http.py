"""HTTP: what user code's results become, headers, routes, and what the proxy says itself."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import requests
from conftest import App, Deployer
from instances import Instance, embedded
from probes import QUICK, Gate, Held
from ray import serve
from returned import returned
from starlette.requests import Request
from starlette.responses import StreamingResponse
from waiting import in_background, wait_until

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(**QUICK)
class Returns:
    def __call__(self, request: Request) -> Any:
        return returned(request.query_params["kind"])


@pytest.fixture(scope="module")
def returns(deploy_once: Deployer) -> App:
    return deploy_once(Returns.bind())


JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("none", "text/plain", b""),
        ("bytes", "text/plain", b"\x00raw\xff"),
        ("empty bytes", "text/plain", b""),
        ("str", TEXT, "grüezi".encode()),
        ("empty str", TEXT, b""),
        ("dict", JSON, b'{"a":1,"b":null,"\\u00fc":"\\u00f6"}'),
        ("list", JSON, b'[1,"two",3.0]'),
        ("tuple", JSON, b"[1,2]"),
        ("set", JSON, b"[7]"),
        ("int", JSON, b"12"),
        ("float", JSON, b"0.5"),
        ("nan", JSON, b"NaN"),
        ("bool", JSON, b"true"),
        ("dataclass", JSON, b'{"x":1,"y":2}'),
        ("nested dataclass", JSON, b'{"points":[{"x":1,"y":2}]}'),
        ("pydantic", JSON, b'{"name":"n","size":3}'),
        ("numpy array", JSON, b"[[0,1],[2,3]]"),
        ("numpy scalar", JSON, b"1.5"),
        ("numpy in dict", JSON, b'{"mean":0.25,"ids":[1,2]}'),
        ("exception", JSON, b'"boo"'),
    ],
)
def test_what_user_code_returns(returns: App, kind: str, content_type: str, body: bytes) -> None:
    reply = returns.get(params={"kind": kind})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == content_type
    assert reply.content == body
    assert reply.headers["content-length"] == str(len(body))


def test_responses_go_out_as_they_are(returns: App) -> None:
    own = returns.get(params={"kind": "response"})
    assert (own.status_code, own.json(), own.headers["x-own"]) == (201, {"made": "by hand"}, "1")
    text = returns.get(params={"kind": "text response"})
    assert (text.status_code, text.text, text.headers["content-type"]) == (418, "plain", TEXT)


# ---- the request that user code sees ----


@serve.deployment(**QUICK)
class Mirror:
    async def __call__(self, request: Request) -> dict[str, Any]:
        return {
            "method": request.method,
            "path": request.scope["path"],
            "raw_path": request.scope["raw_path"].decode(),
            "root_path": request.scope["root_path"],
            "query": request.scope["query_string"].decode(),
            "headers": dict(request.headers),
            "body": (await request.body()).decode(),
            "client": request.client.host if request.client else None,
            "model": serve.get_multiplexed_model_id(),
        }


@pytest.fixture(scope="module")
def mirror(deploy_once: Deployer) -> App:
    return deploy_once(Mirror.bind())


def test_the_request_is_whole(mirror: App) -> None:
    reply = requests.put(
        mirror.instance.url(f"/{mirror.name}/a%20b/c?x=1&y=%20"),
        data=b"content",
        headers={"X-Mixed-Case": "Kept"},
        timeout=10,
    )
    seen = reply.json()
    assert seen["method"] == "PUT"
    assert seen["path"] == f"/{mirror.name}/a b/c"
    assert seen["raw_path"] == f"/{mirror.name}/a%20b/c"
    assert seen["root_path"] == f"/{mirror.name}"
    assert seen["query"] == "x=1&y=%20"
    assert seen["headers"]["x-mixed-case"] == "Kept"
    assert seen["headers"]["host"] == f"127.0.0.1:{mirror.instance.http_port}"
    assert seen["body"] == "content"
    assert seen["client"] == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_forwarded(mirror: App, method: str) -> None:
    reply = requests.request(method, mirror.instance.url(f"/{mirror.name}"), timeout=10)
    assert reply.json()["method"] == method


def test_head_has_a_length_and_no_body(mirror: App) -> None:
    reply = requests.head(mirror.instance.url(f"/{mirror.name}"), timeout=10)
    assert (reply.status_code, reply.content) == (200, b"")
    assert int(reply.headers["content-length"]) > 0


def test_large_bodies_both_ways(mirror: App) -> None:
    body = "0123456789" * 200_000
    assert mirror.post(data=body).json()["body"] == body


def test_a_body_that_comes_in_pieces(mirror: App) -> None:
    pieces = (piece for piece in (b"one ", b"two ", b"three"))
    assert mirror.post(data=pieces).json()["body"] == "one two three"


def test_a_callable_without_parameters_and_an_async_function(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    def bare() -> str:
        return "no request wanted"

    @serve.deployment(**QUICK)
    async def asks(request: Request) -> str:
        return request.method

    assert deploy(bare.bind()).get().text == "no request wanted"
    assert deploy(asks.bind()).get().text == "GET"


# ---- headers ----


def test_a_request_id_is_made_up_and_told_to_both_sides(mirror: App) -> None:
    reply = mirror.get()
    own = reply.headers["x-request-id"]
    assert UUID4.fullmatch(own)
    assert reply.json()["headers"]["x-request-id"] == own
    assert mirror.get().headers["x-request-id"] != own


@pytest.mark.parametrize("header", ["x-request-id", "X-Request-ID"])
def test_a_request_id_that_is_given_is_kept(mirror: App, header: str) -> None:
    own = str(uuid.uuid4())
    reply = mirror.get(headers={header: own})
    assert reply.headers["x-request-id"] == own
    assert reply.json()["headers"]["x-request-id"] == own
    assert len([name for name in reply.json()["headers"] if name == "x-request-id"]) == 1


@pytest.mark.parametrize("path", ["/no-such-route", "/-/healthz", "/-/routes"])
def test_the_proxys_own_replies_have_one_too(mirror: App, path: str) -> None:
    reply = requests.get(mirror.instance.url(path), headers={"x-request-id": "mine"}, timeout=10)
    assert reply.headers["x-request-id"] == "mine"


def test_default_headers(mirror: App) -> None:
    reply = mirror.get()
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.headers["date"])
    assert "server" in reply.headers


@pytest.mark.parametrize(
    "header",
    ["serve_multiplexed_model_id", "Serve-Multiplexed-Model-Id", "SERVE-multiplexed_model-ID"],
)
def test_the_model_id_header(mirror: App, header: str) -> None:
    assert mirror.get(headers={header: "m7"}).json()["model"] == "m7"


# ---- routes ----


def test_the_longest_prefix_wins(deploy: Deployer, instance: Instance) -> None:
    @serve.deployment(**QUICK)
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, request: Request) -> list[str]:
            return [self.name, request.scope["root_path"], request.scope["path"]]

    prefixes = {"root": "/", "conv": "/conv", "deep": "/conv/deep"}
    serve.run_many([serve.RunTarget(Named.bind(name), deploy.name(), prefix) for name, prefix in prefixes.items()])

    def ask(path: str) -> list[str]:
        answer: list[str] = requests.get(instance.url(path), timeout=10).json()
        return answer

    assert ask("/") == ["root", "", "/"]
    assert ask("/anything/else") == ["root", "", "/anything/else"]
    assert ask("/conv") == ["conv", "/conv", "/conv"]
    assert ask("/conv/") == ["conv", "/conv", "/conv/"]
    assert ask("/conv/a/b") == ["conv", "/conv", "/conv/a/b"]
    assert ask("/convx") == ["root", "", "/convx"]
    assert ask("/conv/deep/er") == ["deep", "/conv/deep", "/conv/deep/er"]
    assert ask("/conv/deeper") == ["conv", "/conv", "/conv/deeper"]
    assert ask("/conv?x=/conv/deep") == ["conv", "/conv", "/conv"]


def test_no_route(instance: Instance, mirror: App) -> None:
    reply = requests.get(instance.url("/nowhere/at all?x=1"), timeout=10)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == TEXT
    assert reply.text == ("Path '/nowhere/at all' not found. Ping http://.../-/routes for available routes.")


def test_routes_and_health(instance: Instance, deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    def hello() -> str:
        return "hello"

    app = deploy(hello.bind())
    hidden = deploy(hello.bind(), route_prefix=None)
    for method in ("GET", "POST"):
        routes = requests.request(method, instance.url("/-/routes"), timeout=10)
        assert routes.status_code == 200
        assert routes.json()[f"/{app.name}"] == app.name
        assert hidden.name not in routes.json().values()
        health = requests.request(method, instance.url("/-/healthz"), timeout=10)
        assert (health.status_code, health.text) == (200, "success")
    assert requests.get(instance.url(f"/{hidden.name}"), timeout=10).status_code == 404
    assert hidden.handle.remote().result() == "hello"

    serve.delete(app.name)
    gone = requests.get(instance.url(f"/{app.name}"), timeout=10)
    assert gone.status_code == 404
    assert f"/{app.name}" not in requests.get(instance.url("/-/routes"), timeout=10).json()


def test_an_application_moves_to_another_prefix(deploy: Deployer, instance: Instance) -> None:
    @serve.deployment(**QUICK)
    def hello() -> str:
        return "hello"

    app = deploy(hello.bind(), route_prefix="/before")
    deploy(hello.bind(), name=app.name, route_prefix="/after")
    assert requests.get(instance.url("/after"), timeout=10).text == "hello"
    assert requests.get(instance.url("/before"), timeout=10).status_code == 404


# ---- streams, and clients that go ----


@serve.deployment(**QUICK)
class Streams:
    def __init__(self, gate: Any) -> None:
        self.gate = gate
        self.cancelled = 0

    async def __call__(self, request: Request) -> Any:
        if "slow" in request.query_params:
            return StreamingResponse(self.one_by_one(), media_type="text/event-stream")
        if "wait" in request.query_params:
            try:
                await self.gate.wait.remote()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return StreamingResponse(iter(["a", "b", "c"]))

    async def one_by_one(self) -> AsyncIterator[str]:
        yield "first\n"
        await self.gate.wait.remote()
        yield "second\n"

    async def count_cancelled(self) -> int:
        return self.cancelled


def test_a_stream_arrives_piece_by_piece(deploy: Deployer) -> None:
    app = deploy(Streams.bind(Gate.bind()))
    assert app.get().text == "abc"
    with app.get("?slow", stream=True) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["transfer-encoding"] == "chunked"
        lines = reply.iter_lines()
        assert next(lines) == b"first"  # while the second is still at the gate
        app.of("Gate").open.remote().result()
        assert list(lines) == [b"second"]


def test_a_client_that_goes_cancels_its_request(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Streams.bind(Gate.bind()))
    gate = app.of("Gate")
    with socket.create_connection(("127.0.0.1", instance.http_port), timeout=10) as link:
        link.sendall(f"GET /{app.name}?wait HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        wait_until(lambda: gate.count.remote().result() == 1, "the request waits at the gate")
    wait_until(lambda: app.handle.count_cancelled.remote().result() == 1, "its handler is told")
    wait_until(lambda: gate.count.remote().result() == 0, "what it had called is told too")


def test_several_requests_on_one_connection(instance: Instance, mirror: App) -> None:
    with requests.Session() as session:
        ids = [session.get(instance.url(f"/{mirror.name}"), timeout=10).headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3
    asked = b"".join(
        f"GET /{mirror.name}/{n} HTTP/1.1\r\nHost: here\r\n".encode()
        + (b"Connection: close\r\n\r\n" if n == 2 else b"\r\n")
        for n in range(3)
    )
    with socket.create_connection(("127.0.0.1", instance.http_port), timeout=10) as link:
        link.sendall(asked)  # all at once
        replies = b""
        while piece := link.recv(1 << 16):
            replies += piece
    bodies = re.findall(rb'\{"method".*?"model":""\}', replies)
    assert [json.loads(body)["path"] for body in bodies] == [f"/{mirror.name}/{n}" for n in range(3)]


# ---- time-outs ----


def test_a_client_may_say_how_long_it_waits(deploy: Deployer) -> None:
    app = deploy(Held.bind(Gate.bind()))
    reply = in_background(app.get, headers={"x-request-timeout-seconds": "0.1", "x-request-id": "mine"})
    try:
        wait_until(reply.done, "it does not wait for ever", timeout_s=2)
        assert (reply.result().status_code, reply.result().text) == (
            408,
            "Request mine timed out after 0.1s.",
        )
    finally:
        app.of("Gate").open.remote().result()
        reply.result(timeout=20)


def test_a_client_may_go_and_leave_its_request_running(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Streams.bind(Gate.bind()))
    gate = app.of("Gate")
    with socket.create_connection(("127.0.0.1", instance.http_port), timeout=10) as link:
        head = [f"GET /{app.name}?wait HTTP/1.1", "Host: here", "x-request-disconnect-disabled: ?1"]
        link.sendall("\r\n".join([*head, "", ""]).encode())
        wait_until(lambda: gate.count.remote().result() == 1, "the request waits at the gate")
    # The proxy has seen the end of the connection when it has served another one after it.
    assert app.get().text == "abc"
    assert gate.count.remote().result() == 1
