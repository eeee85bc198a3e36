"""HTTP/2 end to end, with httpx and its strict protocol library as the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(max_ongoing_requests=200)
class Mirror:
    async def __call__(self, request: Request) -> Any:
        if request.url.path.endswith("/stream"):
            return StreamingResponse((f"{i}," for i in range(1000)), media_type="text/plain")
        if request.url.path.endswith("/size"):
            return str(len(await request.body()))
        scope = request.scope
        return {
            "version": scope["http_version"],
            "method": request.method,
            "host": request.headers["host"],
            "query": request.url.query,
            "cookies": request.cookies,
        }


@pytest.fixture(scope="module")
def app(deploy_once: Deployer) -> App:
    return deploy_once(Mirror.bind())


@pytest.fixture
def client(instance: Instance, app: App) -> Iterator[httpx.Client]:
    # Without an offer of HTTP/1.1 it begins with the preface.
    with httpx.Client(
        http1=False, http2=True, base_url=f"http://127.0.0.1:{instance.http_port}/{app.name}", timeout=30
    ) as opened:
        yield opened


def test_a_request_as_the_application_sees_it(client: httpx.Client, instance: Instance) -> None:
    client.cookies.update({"c": "1", "d": "2"})
    reply = client.get("/x?a=b")
    assert reply.http_version == "HTTP/2"
    assert reply.status_code == 200
    assert reply.json() == {
        "version": "2",
        "method": "GET",
        "host": f"127.0.0.1:{instance.http_port}",
        "query": "a=b",
        "cookies": {"c": "1", "d": "2"},
    }


def test_bodies_of_every_size(client: httpx.Client) -> None:
    for size in (0, 1, 65_535, 65_536, 5_000_000):
        assert client.post("/size", content=b"x" * size).text == str(size)
    pieces = (b"y" * 10_000 for _ in range(100))
    assert client.post("/size", content=pieces).text == "1000000"


def test_a_stream(client: httpx.Client) -> None:
    with client.stream("GET", "/stream") as reply:
        text = "".join(reply.iter_text())
    assert text == "".join(f"{i}," for i in range(1000))


def test_head(client: httpx.Client) -> None:
    reply = client.head("/x")
    assert reply.status_code == 200
    assert reply.content == b""
    assert int(reply.headers["content-length"]) > 0


def test_own_answers_of_the_proxy(client: httpx.Client, instance: Instance) -> None:
    assert client.get(instance.url("/-/healthz")).text == "success"
    missing = client.get(instance.url("/no/such"))
    assert missing.status_code == 404
    assert missing.http_version == "HTTP/2"


def test_many_at_once_on_one_connection(instance: Instance, app: App) -> None:
    import asyncio

    async def ask() -> list[str]:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http1=False, http2=True, limits=limits, timeout=30) as opened:
            url = instance.url(f"/{app.name}/size")
            replies = await asyncio.gather(*(opened.post(url, content=b"z" * i) for i in range(150)))
        return [reply.text for reply in replies]

    assert asyncio.run(ask()) == [str(i) for i in range(150)]


def test_http1_beside_it(app: App) -> None:
    assert json.loads(app.get("/x").text)["version"] == "1.1"
