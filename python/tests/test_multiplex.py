"""``@serve.multiplexed``: which models are loaded, which go, and which replica is asked for one."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import cloudpickle
import pytest
from conftest import Deployer
from instances import Instance, embedded
from probes import QUICK
from ray import serve
from waiting import wait_until

from penstock.serve import context, multiplex
from penstock.serve.context import RequestContext


class Loader:
    """Remembers what it loaded; a load waits at the gate if that is closed."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, model_id: str) -> str:
        self.loads.append(model_id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return model_id.upper()


def keeping(loader: Loader, limit: int = 3) -> Any:
    @serve.multiplexed(max_num_models_per_replica=limit)
    async def get(model_id: str) -> str:
        return await loader.load(model_id)

    return get


async def turns(count: int = 5) -> None:
    """Lets everything happen that does not wait for time."""
    for _ in range(count):
        await asyncio.sleep(0)


# ---- the decorator ----


@pytest.mark.parametrize(
    ("limit", "error"),
    [(0, ValueError), (-2, ValueError), (1.0, TypeError), ("3", TypeError), (None, TypeError)],
)
def test_limits_out_of_range(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_num_models_per_replica"):
        serve.multiplexed(max_num_models_per_replica=limit)


async def no_parameter() -> None: ...
async def three(self: Any, model_id: str, more: int) -> None: ...
def sync(model_id: str) -> None: ...


@pytest.mark.parametrize("function", [no_parameter, three, sync, 5])
@pytest.mark.parametrize("decorate", [serve.multiplexed, serve.multiplexed()])
def test_what_loads_a_model(decorate: Callable[[Any], Any], function: Any) -> None:
    with pytest.raises(TypeError, match="multiplexed"):
        decorate(function)


def test_only_ids_are_taken() -> None:
    async def go() -> None:
        get = keeping(Loader())
        with pytest.raises(ValueError, match="The model ID cannot be empty"):
            await get("")
        with pytest.raises(TypeError, match="must be a string"):
            await get(7)
        for wrong in ((), ("a", "b")):
            with pytest.raises(TypeError, match="exactly one argument"):
                await get(*wrong)
        assert await get(model_id="a") == "A"

    asyncio.run(go())


# ---- what is kept ----


@pytest.mark.parametrize(
    ("limit", "asked", "loaded"),
    [
        (3, "aaa", "a"),
        (2, "abacab", "abcb"),  # of a and b, a was used later
        (1, "abab", "abab"),
        (-1, "abcdefabcdef", "abcdef"),
    ],
)
def test_the_least_recently_used_goes_first(limit: int, asked: str, loaded: str) -> None:
    async def go() -> None:
        loader = Loader()
        get = keeping(loader, limit)
        assert [await get(model_id) for model_id in asked] == list(asked.upper())
        assert loader.loads == list(loaded)

    asyncio.run(go())


def test_who_asks_at_once_shares_one_load_and_loads_do_not_overlap() -> None:
    async def go() -> None:
        loader = Loader()
        get = keeping(loader)
        assert await asyncio.gather(*map(get, "abaab")) == list("ABAAB")
        assert loader.loads == ["a", "b"]
        assert loader.most == 1

    asyncio.run(go())


def test_a_failed_load_is_everybodys_and_is_tried_again() -> None:
    calls = []

    @serve.multiplexed
    async def get(model_id: str) -> int:
        calls.append(model_id)
        if len(calls) == 1:
            raise FileNotFoundError(model_id)
        return len(calls)

    async def go() -> None:
        both = await asyncio.gather(get("m"), get("m"), return_exceptions=True)
        assert [type(one) for one in both] == [FileNotFoundError] * 2
        assert await get("m") == 2

    asyncio.run(go())


class Owner:
    """With models of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loads: list[str] = []

    @serve.multiplexed(max_num_models_per_replica=1)
    async def get(self, model_id: str) -> str:
        self.loads.append(model_id)
        return self.name + model_id


def test_every_object_has_its_own_models() -> None:
    async def go() -> None:
        first, second = Owner("x"), Owner("y")
        for _ in range(2):
            assert (await first.get("a"), await second.get("b")) == ("xa", "yb")
        assert (first.loads, second.loads) == (["a"], ["b"])

    asyncio.run(go())


def test_a_class_can_be_shipped_after_it_was_used() -> None:
    class Local(Owner):
        @serve.multiplexed
        async def get(self, model_id: str) -> str:
            return "local" + model_id

    async def go(kind: Any) -> str:
        got: str = await kind("z").get("a")
        return got

    assert asyncio.run(go(Local)) == "locala"
    assert asyncio.run(go(cloudpickle.loads(cloudpickle.dumps(Local)))) == "locala"


def test_the_loader_knows_the_model_id_of_the_request() -> None:
    @serve.multiplexed
    async def get(model_id: str) -> str:
        return serve.get_multiplexed_model_id()

    async def go() -> str:
        context.request_context.set(RequestContext(multiplexed_model_id="m"))
        got: str = await get(serve.get_multiplexed_model_id())
        return got

    assert serve.get_multiplexed_model_id() == ""
    assert asyncio.run(go()) == "m"


# ---- cancelled requests ----


def test_a_load_goes_on_while_anybody_waits_for_it() -> None:
    async def go() -> None:
        loader = Loader()
        loader.gate.clear()
        get = keeping(loader)
        first, second = (asyncio.create_task(get("a")) for _ in range(2))
        await turns()
        first.cancel()
        await turns()
        loader.gate.set()
        assert await second == "A"
        assert first.cancelled()
        assert loader.loads == ["a"]

    asyncio.run(go())


def test_a_load_ends_with_the_last_who_waited_and_others_are_not_held_up() -> None:
    async def go() -> None:
        loader = Loader()
        loader.gate.clear()
        get = keeping(loader)
        calls = [asyncio.create_task(get("a")) for _ in range(2)]
        await turns()
        for call in calls:
            call.cancel()
        again = asyncio.create_task(get("a"))  # not the load that is being cancelled
        await turns()
        loader.gate.set()
        assert await again == "A"
        assert loader.loads == ["a", "a"]

    asyncio.run(go())


# ---- farewells ----


@pytest.fixture
def said() -> list[Any]:
    """What models said in their ``__del__``."""
    return []


async def swap(model: Any) -> None:
    """Loads one model and evicts it."""
    models = {"old": model, "new": None}

    @serve.multiplexed(max_num_models_per_replica=1)
    async def get(model_id: str) -> Any:
        return models.pop(model_id)

    await get("old")
    await get("new")


def test_a_model_says_farewell_on_a_thread_and_once(said: list[Any]) -> None:
    class Model:
        def __del__(self) -> None:
            said.append(threading.current_thread() is threading.main_thread())

    async def go() -> None:
        model = Model()  # still in use when it is evicted
        await swap(model)
        assert said == [False]

    asyncio.run(go())
    gc.collect()
    assert said == [False]
    Model()  # one that was never evicted says it as ever
    assert said == [False, True]


def test_an_async_farewell_is_awaited_once(said: list[Any]) -> None:
    class Model:
        async def __del__(self) -> None:
            await asyncio.sleep(0)
            said.append("bye")

    asyncio.run(swap(Model()))
    gc.collect()
    assert said == ["bye"]


def test_farewells_of_subclasses(said: list[Any]) -> None:
    class Base:
        def __del__(self) -> None:
            said.append("base")

    class Inherits(Base): ...

    class Extends(Base):
        def __del__(self) -> None:
            said.append("extends")
            super().__del__()

    for kind in (Base, Inherits, Extends):
        asyncio.run(swap(kind()))
    gc.collect()
    assert said == ["base", "base", "extends", "base"]


def test_a_farewell_that_fails_holds_nothing_up() -> None:
    class Model:
        def __del__(self) -> None:
            raise OSError("the device is gone")

    asyncio.run(swap(Model()))


@pytest.mark.parametrize("model", [None, "text", 5, [1]], ids=repr)
def test_models_of_any_type(model: Any) -> None:
    asyncio.run(swap(model))


def test_at_the_end_everything_is_unloaded(said: list[Any]) -> None:
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            said.append(self.name)

    @serve.multiplexed(max_num_models_per_replica=-1)
    async def get(model_id: str) -> Model:
        return Model(model_id)

    async def go() -> None:
        for model_id in "abc":
            await get(model_id)
        await multiplex.unload_all()

    asyncio.run(go())
    assert said == ["a", "b", "c"]


# ---- what routers are told ----


@pytest.fixture
def announced() -> Iterator[list[list[str]]]:
    told: list[list[str]] = []
    multiplex.announce_with(told.append)
    yield told
    multiplex.announce_with(None)


def test_a_model_is_announced_before_it_is_there(announced: list[list[str]]) -> None:
    async def go() -> None:
        loader = Loader()
        get = keeping(loader, limit=2)
        loader.gate.clear()
        load = asyncio.create_task(get("b"))
        await turns()
        assert announced == [["b"]]
        loader.gate.set()
        await load
        await get("a")
        await get("a")
        assert announced == [["b"], ["a", "b"]]
        await get("c")  # announced, then b makes room for it
        assert announced[2:] == [["a", "b", "c"], ["a", "c"]]
        await multiplex.unload_all()
        assert announced[-1] == []

    asyncio.run(go())


def test_a_load_that_failed_is_taken_back(announced: list[list[str]]) -> None:
    @serve.multiplexed
    async def get(model_id: str) -> None:
        raise LookupError

    async def go() -> None:
        with pytest.raises(LookupError):
            await get("a")

    asyncio.run(go())
    assert announced == [["a"], []]


# ---- in replicas ----


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=8) as running:
        yield running


@serve.deployment(max_ongoing_requests=20, **QUICK)
class Zoo:
    """Two models at a time. They leave a line in the log when they go."""

    def __init__(self, log: Optional[str] = None) -> None:
        self._log = log
        self._loads: list[str] = []

    @serve.multiplexed(max_num_models_per_replica=2)
    async def load(self, model_id: str) -> Any:
        self._loads.append(model_id)
        log = self._log

        class Model:
            def __del__(self) -> None:
                if log is not None:
                    with open(log, "a") as file:
                        file.write(model_id + "\n")

        return Model()

    async def __call__(self, request: Any = None) -> list[Any]:
        """The process, the model, and what was loaded here."""
        model_id = serve.get_multiplexed_model_id()
        await self.load(model_id)
        return [os.getpid(), model_id, self._loads]


@serve.deployment(**QUICK)
class Front:
    """Asks for several models."""

    def __init__(self, zoo: Any) -> None:
        self._zoo = zoo

    async def __call__(self, model_ids: list[str]) -> list[list[Any]]:
        """One after another."""
        return [await self._zoo.options(multiplexed_model_id=m).remote() for m in model_ids]


def test_the_model_of_a_call_and_of_an_http_request(deploy: Deployer) -> None:
    app = deploy(Zoo.bind())
    assert app.handle.options(multiplexed_model_id="m").remote().result()[1:] == ["m", ["m"]]
    answer = app.get(headers={"serve_multiplexed_model_id": "h"})
    assert answer.json()[1:] == ["h", ["m", "h"]]
    assert app.get().status_code == 500  # without a model there is nothing to load


def test_inner_calls_have_models_of_their_own(deploy: Deployer) -> None:
    app = deploy(Front.bind(Zoo.bind()))
    answers = app.handle.options(multiplexed_model_id="outer").remote(["a", "b"]).result()
    assert [model_id for _, model_id, _ in answers] == ["a", "b"]


def test_requests_stay_with_the_replica_that_has_their_model(deploy: Deployer) -> None:
    app = deploy(Zoo.options(num_replicas=3).bind())
    home = {}
    for model_id in "abcdef":  # as many as there is room for: each replica gets two
        handle = app.handle.options(multiplexed_model_id=model_id)
        home[model_id] = handle.remote().result()[0]
    assert sorted(list(home.values()).count(pid) for pid in set(home.values())) == [2, 2, 2]
    for model_id in "fadbec":
        handle = app.handle.options(multiplexed_model_id=model_id)
        assert {call.result()[0] for call in [handle.remote() for _ in range(5)]} == {home[model_id]}
        asked = app.get(headers={"serve_multiplexed_model_id": model_id})  # another router
        assert asked.json()[0] == home[model_id]


def test_models_are_unloaded_when_they_make_room_and_at_the_end(deploy: Deployer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    app = deploy(Zoo.bind(str(log)))
    for model_id in "abac":
        app.handle.options(multiplexed_model_id=model_id).remote().result()
    wait_until(lambda: log.exists() and log.read_text() == "b\n", "b makes room for c")
    deploy.delete_all()
    assert log.read_text().split() == ["b", "a", "c"]
