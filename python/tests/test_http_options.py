"""Options of the proxy, on an instance of their own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from conftest import Deployer
from instances import Instance, embedded, free_port
from probes import QUICK, Gate, Held
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    options = {"request_timeout_s": 0.5, "root_path": "/behind", "keep_alive_timeout_s": 0.2}
    with embedded(http_options=options, num_cpus=8) as running:
        yield running


def test_before_any_route_is_known_the_proxy_is_not_healthy(instance: Instance) -> None:
    def ask() -> tuple[int, str]:
        reply = requests.get(instance.url("/-/healthz"), timeout=10)
        return reply.status_code, reply.text

    status, text = ask()
    assert (status, text) in [(503, "Route table is not populated yet."), (200, "success")]


def test_a_request_that_takes_too_long(deploy: Deployer) -> None:
    app = deploy(Held.bind(Gate.bind()))
    reply = app.get(headers={"x-request-id": "mine"})
    assert (reply.status_code, reply.text) == (408, "Request mine timed out after 0.5s.")
    assert reply.headers["x-request-id"] == "mine"
    gate = app.of("Gate")
    wait_until(lambda: gate.count.remote().result() == 0, "it was cancelled where it waited")


def test_root_path_is_taken_off_before_routing(deploy: Deployer, instance: Instance) -> None:
    @serve.deployment(**QUICK)
    def paths(request: Request) -> list[Any]:
        return [request.scope["root_path"], request.scope["path"]]

    app = deploy(paths.bind())
    reply = requests.get(instance.url(f"/behind/{app.name}/x"), timeout=10)
    assert reply.json() == [f"/behind/{app.name}", f"/behind/{app.name}/x"]


def test_an_idle_connection_is_closed(instance: Instance) -> None:
    with socket.create_connection(("127.0.0.1", instance.http_port), timeout=10) as link:
        link.sendall(b"GET /-/healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        received = b""
        while piece := link.recv(4096):  # ends when the proxy closes
            received += piece
    assert received.startswith(b"HTTP/1.1 ")


def test_the_first_start_decides(instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="ray.serve"):
        serve.start(http_options=HTTPOptions(port=free_port()))
    assert "new http_options are not applied" in caplog.text
    assert requests.get(instance.url("/-/routes"), timeout=10).status_code in (200, 503)
