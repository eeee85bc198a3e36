"""Applications that cannot run, requests that cannot be served, and replicas that die."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import requests
from conftest import App, Deployer
from instances import Instance, embedded
from probes import QUICK, Gate, Held, Probe
from ray import serve
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException
from waiting import in_background, wait_until

MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(http_options={"max_body_bytes": MOST_BYTES}, num_cpus=8) as running:
        yield running


@serve.deployment(**QUICK)
def hello() -> str:
    return "hello"


# ---- what cannot be deployed ----


@pytest.mark.parametrize(
    ("kind", "words", "run"),
    [
        (TypeError, "expects an `Application`", lambda: serve.run(hello)),
        (TypeError, "expects an `Application`", lambda: serve.run(lambda: "hello")),
        (RayServeException, "non-empty string", lambda: serve.run(hello.bind(), name="")),
        (ValueError, "No applications provided.", lambda: serve.run_many([])),
        (
            ValueError,
            "must start with a forward slash ('/')",
            lambda: serve.run(hello.bind(), route_prefix="hello"),
        ),
        (
            ValueError,
            "must start with a forward slash ('/')",
            lambda: serve.run(hello.bind(), route_prefix=""),
        ),
        (
            ValueError,
            "must not end with a forward slash ('/')",
            lambda: serve.run(hello.bind(), route_prefix="/hello/"),
        ),
        (
            ValueError,
            "must not contain wildcards",
            lambda: serve.run(hello.bind(), route_prefix="/hello/{name}"),
        ),
        (TypeError, "route_prefix", lambda: serve.run(hello.bind(), route_prefix=5)),
        (
            TypeError,
            "pickle",
            lambda: serve.run(Probe.options(name="x").bind(threading.Lock())),
        ),
    ],
)
@pytest.mark.usefixtures("instance")
def test_run_refuses(kind: type[Exception], words: str, run: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        run()
    assert serve.status().applications == {}


def test_a_prefix_that_another_application_has(deploy: Deployer) -> None:
    first = deploy(hello.bind())
    words = f'Prefix /{first.name} is being used by application "{first.name}". Failed to deploy application "second".'
    with pytest.raises(RayServeException, match=re.escape(words)):
        deploy(hello.bind(), name="second", route_prefix=f"/{first.name}")
    assert set(serve.status().applications) == {first.name}
    serve.delete(first.name)
    second = deploy(hello.bind(), route_prefix=f"/{first.name}")
    assert requests.get(second.instance.url(f"/{first.name}"), timeout=10).text == "hello"


def test_deleting_what_is_not_there_is_no_error(instance: Instance) -> None:
    serve.delete("nobody")


# ---- constructors ----


@serve.deployment(max_constructor_retry_count=2, **QUICK)
class Broken:
    def __init__(self) -> None:
        self.weights = {}["weights"]

    def __call__(self) -> str:
        return "never"


def test_a_constructor_that_raises_fails_the_deploy_with_its_traceback(deploy: Deployer) -> None:
    name = deploy.name()
    words = f"Deploying application {name} failed: Failed to update the deployments ['Broken']."
    with pytest.raises(RuntimeError, match=re.escape(words)) as failed:
        deploy(Broken.bind(), name=name)
    assert "KeyError: 'weights'" in str(failed.value)

    app = serve.status().applications[name]
    assert app.status == "DEPLOY_FAILED"
    assert app.message == "Failed to update the deployments ['Broken']."
    broken = app.deployments["Broken"]
    assert broken.status == "DEPLOY_FAILED"
    assert broken.status_trigger == "REPLICA_STARTUP_FAILED"
    assert broken.message.startswith("The deployment failed to start 2 times in a row.")
    assert "KeyError: 'weights'" in broken.message


def test_the_traceback_shows_the_line_that_raised(deploy: Deployer) -> None:
    with pytest.raises(RuntimeError) as failed:
        deploy(Broken.bind())
    assert f'File "{__file__}", line ' in str(failed.value)
    assert 'self.weights = {}["weights"]' in str(failed.value)


def test_what_failed_to_deploy_is_unavailable(deploy: Deployer, instance: Instance) -> None:
    name = deploy.name()
    with pytest.raises(RuntimeError):
        deploy(Broken.bind(), name=name)
    words = f"Deployment(name='Broken', app='{name}') is unavailable because it failed to deploy."
    reply = requests.get(instance.url(f"/{name}"), timeout=10)
    assert (reply.status_code, reply.text) == (503, words)
    with pytest.raises(DeploymentUnavailableError, match=re.escape(words)):
        serve.get_app_handle(name).remote().result(timeout_s=10)


def test_a_better_version_mends_it(deploy: Deployer) -> None:
    name = deploy.name()
    with pytest.raises(RuntimeError):
        deploy(Broken.bind(), name=name)
    mended = deploy(hello.options(name="Broken").bind(), name=name)
    assert mended.status() == "RUNNING"
    assert mended.get().text == "hello"


def test_a_worse_version_stops_at_its_first_step(deploy: Deployer) -> None:
    app = deploy(hello.options(name="Broken", num_replicas=2).bind())
    with pytest.raises(RuntimeError, match="previous version keep running") as failed:
        deploy(Broken.options(num_replicas=2).bind(), name=app.name)
    assert "KeyError: 'weights'" in str(failed.value)
    assert app.status() == "DEPLOY_FAILED"
    assert app.running("Broken") == 1
    assert app.get().text == "hello"


@pytest.mark.parametrize("end", ["os._exit(3)", "sys.exit(3)", "raise SystemExit('enough')"])
def test_a_constructor_that_ends_the_process(deploy: Deployer, end: str) -> None:
    @serve.deployment(max_constructor_retry_count=1, **QUICK)
    class Ends:
        def __init__(self, how: str) -> None:
            exec("import os, sys\n" + how)

        def __call__(self) -> None: ...

    with pytest.raises(RuntimeError, match="failed to start 1 times in a row"):
        deploy(Ends.bind(end))


def test_an_initial_health_check_that_fails(deploy: Deployer) -> None:
    @serve.deployment(max_constructor_retry_count=1, **QUICK)
    class Ill:
        def check_health(self) -> None:
            raise OSError("no camera")

        def __call__(self) -> None: ...

    with pytest.raises(RuntimeError, match="OSError: no camera"):
        deploy(Ill.bind())


def test_user_config_without_reconfigure(deploy: Deployer) -> None:
    plain = Probe.options(user_config={"threshold": 1}, max_constructor_retry_count=1)
    with pytest.raises(RuntimeError, match="missing reconfigure method"):
        deploy(plain.bind())


# ---- requests ----


@serve.deployment(**QUICK)
class Fragile:
    async def __call__(self, request: Any) -> Any:
        what = request.query_params.get("what")
        if what == "raise":
            raise ValueError("not today")
        if what == "exit":
            raise SystemExit(4)
        if what == "object":
            return object()
        if what == "generator":
            return (n for n in "abc")
        return len(await request.body())

    def sync(self) -> None:
        raise ValueError("not today")


@pytest.fixture(scope="module")
def fragile(deploy_once: Deployer) -> App:
    return deploy_once(Fragile.bind())


@pytest.mark.parametrize("what", ["raise", "object", "exit"])
def test_what_user_code_does_wrong_is_a_500(fragile: App, what: str) -> None:
    before = fragile.details("Fragile")["replicas"]
    reply = fragile.get(f"?what={what}")
    assert (reply.status_code, reply.text) == (500, "Internal Server Error")
    assert "content-type" not in reply.headers
    assert reply.headers["x-request-id"]
    assert fragile.details("Fragile")["replicas"] == before  # the replica is none the worse
    assert fragile.post(data=b"1234").json() == 4


def test_a_generator_is_no_answer(fragile: App) -> None:
    assert fragile.get("?what=generator").status_code == 500


def test_a_body_up_to_the_limit_is_taken(fragile: App) -> None:
    assert fragile.post(data=b"x" * MOST_BYTES).json() == MOST_BYTES


def in_pieces(total: int) -> Iterator[bytes]:
    for _ in range(total // 1000):
        yield b"x" * 1000


@pytest.mark.parametrize("body", [b"x" * (MOST_BYTES + 1), in_pieces(MOST_BYTES + 1000)], ids=["sized", "chunked"])
def test_a_larger_body_is_refused(fragile: App, body: Any) -> None:
    reply = fragile.post(data=body)
    assert reply.status_code == 413
    assert reply.text == f"The request body is larger than {MOST_BYTES} bytes."
    assert fragile.post(data=b"1234").json() == 4


def test_garbage_is_a_400(instance: Instance) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", instance.http_port), timeout=10) as link:
        link.sendall(b"nonsense\r\n\r\n")
        reply = b""
        while piece := link.recv(4096):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.endswith(b"Invalid HTTP request received.")


# ---- replicas that die ----


def test_a_replica_that_dies_costs_only_what_it_held(deploy: Deployer) -> None:
    held = Held.options(num_replicas=2, max_ongoing_requests=2)
    app = deploy(held.bind(Gate.bind()))
    replies = [in_background(app.get) for _ in range(4)]
    gate = app.of("Gate")
    wait_until(lambda: gate.count.remote().result() == 4, "each replica holds two requests")
    victim, survivor = (replica["pid"] for replica in app.details("Held")["replicas"])
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: sum(reply.done() for reply in replies) == 2, "two requests are lost")
    gate.open.remote().result()
    outcomes = Counter((reply.result().status_code, reply.result().text) for reply in replies)
    assert outcomes == {(500, "Internal Server Error"): 2, (200, str(survivor)): 2}

    def pids() -> set[int]:
        return {replica["pid"] for replica in app.details("Held")["replicas"]}

    wait_until(lambda: victim not in pids() and app.running("Held") == 2, "it is replaced")
    assert survivor in pids()
    wait_until(lambda: app.status() == "RUNNING", "all is well again")
    assert {app.get().status_code for _ in range(6)} == {200}


def test_a_replica_that_dies_by_itself(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Mortal:
        def __call__(self, request: Any) -> int:
            if "die" in request.query_params:
                os._exit(1)
            return os.getpid()

    app = deploy(Mortal.bind())
    before = app.get().json()
    assert app.get("?die").status_code == 500
    assert app.get().json() != before  # waits for the one that replaces it


def test_requests_wait_while_the_only_replica_is_replaced(deploy: Deployer) -> None:
    app = deploy(Probe.bind())
    os.kill(app.handle.remote().result()["pid"], signal.SIGKILL)
    calls = [app.handle.remote() for _ in range(3)]
    replies = [in_background(app.get) for _ in range(3)]
    # What reached the dead one's socket before its end was known may be lost; the rest is served.
    later = wait_until(lambda: app.get().status_code == 200, "its successor serves")
    assert later
    for call in calls:
        call.cancel()
    for reply in replies:
        reply.result(timeout=20)
