"""``@serve.ingress``: ASGI applications as deployments, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Deployer
from fastapi import APIRouter, FastAPI, HTTPException, Request
from instances import Instance, embedded
from ray import serve
from starlette.responses import StreamingResponse
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


def test_methods_are_routes_in_the_order_they_were_written(deploy: Deployer) -> None:
    app = FastAPI()

    @app.get("/fixed/last")
    def outside() -> str:
        return "outside"

    @serve.deployment
    @serve.ingress(app)
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @app.get("/items/special")
        def special(self) -> str:
            return f"special of {self.name}"

        @app.get("/items/{key}")
        async def item(self, key: int, twice: bool = False) -> dict[str, Any]:
            if key == 7:
                raise HTTPException(418, "teapot")
            return {"key": key * (2 if twice else 1), "name": self.name}

    shop = deploy(Shop.bind("a"))
    assert shop.get("/items/special").json() == "special of a"
    assert shop.get("/items/3?twice=true").json() == {"key": 6, "name": "a"}
    assert shop.get("/items/x").status_code == 422
    assert shop.get("/items/7").status_code == 418
    assert shop.get("/fixed/last").json() == "outside"
    assert shop.handle.special.remote().result() == "special of a"


def test_one_app_for_two_classes_serves_each_its_own_routes(deploy: Deployer) -> None:
    app = FastAPI()

    @serve.deployment
    @serve.ingress(app)
    class One:
        @app.get("/who")
        def who(self) -> str:
            return "one"

    @serve.deployment
    @serve.ingress(app)
    class Two:
        @app.get("/who")
        def who(self) -> str:
            return "two"

    assert deploy(One.bind()).get("/who").json() == "one"
    assert deploy(Two.bind()).get("/who").json() == "two"


def test_a_router_is_an_application_too(deploy: Deployer) -> None:
    router = APIRouter()

    @router.get("/ping")
    def ping() -> str:
        return "pong"

    assert deploy(serve.deployment(serve.ingress(router)()).bind()).get("/ping").json() == "pong"


def test_the_class_may_build_its_application(deploy: Deployer) -> None:
    @serve.deployment
    @serve.ingress()
    class Late:
        def __init__(self) -> None:
            self.word = "built"

        async def __serve_build_asgi_app__(self) -> Any:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                assert scope["type"] == "http"
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": self.word.encode()})

            return app

    assert deploy(Late.bind()).get("/").text == "built"


def test_lifespan_runs_around_the_replica_and_its_state_reaches_requests(deploy: Deployer, tmp_path: Path) -> None:
    ended = tmp_path / "ended"

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[dict[str, str]]:
        yield {"word": "warm"}
        ended.touch()

    app = FastAPI(lifespan=lifespan)

    @serve.deployment(graceful_shutdown_wait_loop_s=0.01)
    @serve.ingress(app)
    class Warm:
        @app.get("/")
        def word(self, request: Request) -> str:
            return str(request.state.word)

    warm = deploy(Warm.bind())
    assert warm.get("/").json() == "warm"
    serve.delete(warm.name)
    wait_until(ended.exists, "the lifespan's end")


def test_a_lifespan_that_fails_fails_the_deployment(deploy: Deployer) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        raise OSError("no disk")
        yield

    app = FastAPI(lifespan=lifespan)
    with pytest.raises(RuntimeError, match="ASGI lifespan startup failed"):
        deploy(serve.deployment(serve.ingress(app)()).bind())


def test_what_is_no_ingress_is_refused() -> None:
    with pytest.raises(ValueError, match="__call__"):

        @serve.ingress(FastAPI())
        class Callable:
            def __call__(self) -> None: ...

    with pytest.raises(ValueError, match="must be used with a class"):
        serve.ingress(FastAPI())(lambda: None)
    with pytest.raises(ValueError, match="__serve_build_asgi_app__"):
        serve.ingress()(type("Bare", (), {}))


def test_two_ingresses_in_one_application_are_refused(deploy: Deployer) -> None:
    @serve.deployment
    @serve.ingress(FastAPI())
    class Inner: ...

    @serve.deployment
    @serve.ingress(FastAPI())
    class Outer:
        def __init__(self, inner: Any) -> None: ...

    with pytest.raises(serve.exceptions.RayServeException, match=r"multiple FastAPI.*Inner.*Outer"):
        deploy(Outer.bind(Inner.bind()))


def test_refusals_of_other_deployments_become_503(deploy: Deployer, tmp_path: Path) -> None:
    app = FastAPI()
    go_on = tmp_path / "go on"

    @serve.deployment(max_ongoing_requests=1, max_queued_requests=1)
    class Slow:
        async def __call__(self) -> None:
            while not go_on.exists():
                await asyncio.sleep(0.01)

    @serve.deployment
    @serve.ingress(app)
    class Front:
        def __init__(self, slow: Any) -> None:
            self.slow = slow

        @app.get("/")
        async def ask(self) -> str:
            await self.slow.remote()
            return "done"

    front = deploy(Front.bind(Slow.bind()))

    async def ask_all() -> list[int]:
        async with httpx.AsyncClient(timeout=20) as client:
            asked = [asyncio.create_task(client.get(front.instance.url(f"/{front.name}/"))) for _ in range(4)]
            statuses = []
            for answer in asyncio.as_completed(asked):
                statuses.append((await answer).status_code)
                if len(statuses) == 2:  # the refusals; one runs, one waits
                    go_on.touch()
            return statuses

    assert asyncio.run(ask_all()) == [503, 503, 200, 200]


def test_a_client_that_leaves_cancels_the_handler(deploy: Deployer, tmp_path: Path) -> None:
    app = FastAPI()
    begun, cancelled = tmp_path / "begun", tmp_path / "cancelled"

    @serve.deployment
    @serve.ingress(app)
    class Patient:
        @app.get("/")
        async def wait(self) -> None:
            begun.touch()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.touch()
                raise

    patient = deploy(Patient.bind())

    async def leave() -> None:
        async with httpx.AsyncClient() as client:
            asking = asyncio.create_task(client.get(patient.instance.url(f"/{patient.name}/")))
            while not begun.exists():
                await asyncio.sleep(0.01)
            asking.cancel()

    asyncio.run(leave())
    wait_until(cancelled.exists, "the handler is cancelled")


def test_current_task_and_contextvars_are_those_of_one_task(deploy: Deployer) -> None:
    """The first step of a handler runs at once; user code must not be able to tell."""

    @serve.deployment
    class Curious:
        async def __call__(self) -> list[bool]:
            before = asyncio.current_task()
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
            return [
                before is not None,
                before is asyncio.current_task(),
                before in asyncio.all_tasks(),
            ]

    assert deploy(Curious.bind()).get("/").json() == [True, True, True]


def test_streams_arrive_piece_by_piece(deploy: Deployer) -> None:
    app = FastAPI()

    @serve.deployment
    @serve.ingress(app)
    class Ticker:
        def __init__(self) -> None:
            self.go_on = asyncio.Event()

        @app.get("/next")
        async def next(self) -> None:
            self.go_on.set()

        @app.get("/ticks")
        async def ticks(self) -> StreamingResponse:
            async def tick() -> AsyncIterator[str]:
                yield "one"
                await self.go_on.wait()
                yield "two"

            return StreamingResponse(tick(), media_type="text/plain")

    ticker = deploy(Ticker.bind())
    with httpx.stream("GET", ticker.instance.url(f"/{ticker.name}/ticks"), timeout=20) as stream:
        pieces = stream.iter_text()
        assert next(pieces) == "one"  # the second is made only once this has arrived
        ticker.get("/next")
        assert next(pieces) == "two"
