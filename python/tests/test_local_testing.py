"""Local testing mode: an application inside this process behaves as it will in an instance."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Optional
from unittest.mock import Mock

import pytest
import ray
from ray import serve
from ray.serve.exceptions import RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle
from waiting import wait_until

from penstock import _instance


@pytest.fixture(autouse=True)
def _nothing_is_started() -> Iterator[None]:
    yield
    serve.delete("default")
    assert _instance.current() is None


def local(app: serve.Application, **options: Any) -> DeploymentHandle:
    handle: DeploymentHandle = serve.run(app, _local_testing_mode=True, **options)
    return handle


@serve.deployment
class Echo:
    """Says what it is told."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    async def later(self, value: Any) -> Any:
        """From the loop."""
        await asyncio.sleep(0)
        return value

    def thread(self) -> str:
        """Where sync methods run."""
        return threading.current_thread().name

    async def loop_thread(self) -> str:
        """Where async methods run."""
        return threading.current_thread().name

    def fail(self) -> None:
        """Does."""
        raise LookupError("it is not there")

    def where(self) -> tuple[str, str, int]:
        """What it may know of itself."""
        context = serve.get_replica_context()
        return context.app_name, context.deployment, context.rank.rank


@serve.deployment
class Parent:
    """Has others, wherever they are in its arguments."""

    def __init__(self, children: dict[str, list[DeploymentHandle]], other: Any = None) -> None:
        self.children = children
        self.other = other

    async def __call__(self, value: Any) -> Any:
        return [await child.later.remote(value) for child in self.children["all"]]

    def blocking(self, value: Any) -> Any:
        """A sync method may wait."""
        return self.children["all"][0].later.remote(value).result()

    def same(self, thing: Any) -> bool:
        """True for what it was constructed with."""
        return self.other is thing

    def places(self) -> list[tuple[str, str, int]]:
        """Its own and its children's."""
        children = [child.where.remote().result() for child in self.children["all"]]
        context = serve.get_replica_context()
        return [(context.app_name, context.deployment, context.rank.rank), *children]


# ---- what is run ----


def test_handles_are_wherever_applications_were() -> None:
    echo = Echo.bind()
    handle = local(Parent.bind({"all": [echo, Echo.bind(), echo]}))
    assert isinstance(handle, DeploymentHandle)
    assert handle.remote("x").result() == ["x", "x", "x"]
    assert handle.blocking.remote("y").result() == "y"
    names = [name for _, name, _ in handle.places.remote().result()]
    assert names == ["Parent", "Echo", "Echo_1", "Echo"]


def test_other_arguments_are_the_very_objects() -> None:
    unpicklable = threading.Lock()
    mock = Mock(return_value=5)

    @serve.deployment
    class Uses:
        def __init__(self, lock: Any, function: Any) -> None:
            self.same = lock is unpicklable
            self.function = function

        def __call__(self) -> tuple[bool, int]:
            return self.same, self.function()

    assert local(Uses.bind(unpicklable, function=mock)).remote().result() == (True, 5)
    mock.assert_called_once_with()


def test_constructors_may_be_async_and_what_they_raise_is_raised() -> None:
    @serve.deployment
    class Slow:
        async def __init__(self, word: Optional[str]) -> None:
            await asyncio.sleep(0)
            if word is None:
                raise ZeroDivisionError("no word")
            self.word = word

        def __call__(self) -> str:
            return self.word

    assert local(Slow.bind("ok")).remote().result() == "ok"
    with pytest.raises(ZeroDivisionError, match="no word"):
        local(Slow.bind(None))
    with pytest.raises(ZeroDivisionError, match="no word"):
        local(Parent.bind({"all": [Slow.bind(None)]}))


@pytest.mark.parametrize(("wrong", "error"), [({"name": ""}, RayServeException), ({"route_prefix": 5}, TypeError)])
def test_what_cannot_be_run(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        local(Echo.bind(), **wrong)
    with pytest.raises(TypeError):
        local(Echo)  # type: ignore[arg-type]


def test_the_environment_can_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_FORCE_LOCAL_TESTING_MODE", "1")
    assert serve.run(Echo.bind()).later.remote(1).result() == 1


def test_options_that_mean_nothing_here_are_told(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("ray.serve").addHandler(caplog.handler)
    local(Echo.options(ray_actor_options={"num_gpus": 1}, num_replicas=5).bind())
    logging.getLogger("ray.serve").removeHandler(caplog.handler)
    assert [line for line in caplog.messages if "num_gpus" in line]


def test_user_config_and_rank() -> None:
    @serve.deployment
    class Configured:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def reconfigure(self, user_config: Any, rank: Any) -> None:
            self.seen.append((user_config, rank.rank))

        def __call__(self) -> list[Any]:
            return self.seen

    assert local(Configured.options(user_config={"k": 1}).bind()).remote().result() == [({"k": 1}, 0)]
    assert local(Configured.bind()).remote().result() == [(None, 0)]
    with pytest.raises(RayServeException, match="missing reconfigure"):
        local(Echo.options(user_config={"k": 1}).bind())


# ---- calls ----


def test_arguments_are_copies() -> None:
    @serve.deployment
    def grow(items: list[int]) -> list[int]:
        items.append(1)
        return items

    mine = [0]
    assert local(grow.bind()).remote(mine).result() == [0, 1]
    assert mine == [0]


def test_no_code_runs_in_the_callers_thread() -> None:
    handle = local(Echo.bind())
    own = threading.current_thread().name
    threads = {handle.thread.remote().result(), handle.loop_thread.remote().result()}
    assert len(threads) == 2
    assert own not in threads


def test_responses_are_arguments_and_references_are_not() -> None:
    handle = local(Echo.bind())
    assert handle.later.remote(handle.later.remote("deep")).result() == "deep"
    with pytest.raises(RuntimeError, match="not supported in local testing mode"):
        handle.later.remote(ray.put(1))
    with pytest.raises(RuntimeError, match="not supported in local testing mode"):
        handle.later.remote(1)._to_object_ref_sync()


def test_errors_are_the_originals() -> None:
    handle = local(Echo.bind())
    with pytest.raises(LookupError, match="it is not there"):
        handle.fail.remote().result()
    with pytest.raises(RayServeException, match="Tried to call a method 'nothing'"):
        handle.nothing.remote().result()
    with pytest.raises(TypeError):
        handle.later.remote().result()


def test_responses_can_be_awaited() -> None:
    handle = local(Echo.bind())

    async def go() -> list[Any]:
        return await asyncio.gather(*[handle.later.remote(i) for i in range(5)])

    assert asyncio.run(go()) == [0, 1, 2, 3, 4]


def test_a_handle_is_an_argument_too() -> None:
    @serve.deployment
    async def ask(handle: DeploymentHandle) -> Any:
        return await handle.later.remote("through another")

    serve.run_many(
        [serve.RunTarget(Echo.bind(), "echo"), serve.RunTarget(ask.bind(), "ask")],
        _local_testing_mode=True,
    )
    echo, asker = serve.get_app_handle("echo"), serve.get_app_handle("ask")
    assert asker.remote(echo).result() == "through another"
    for name in ("echo", "ask"):
        serve.delete(name)


# ---- streams ----


@serve.deployment
class Counter:
    """Counts, and knows how far it came."""

    def __init__(self) -> None:
        self.made = 0
        self.stopped = threading.Event()

    def sync(self) -> Iterator[bytes]:
        """For ever."""
        try:
            for _ in itertools.count():
                self.made += 1
                yield bytes(1 << 16)
        finally:
            self.stopped.set()

    async def on_loop(self) -> AsyncIterator[bytes]:
        """For ever."""
        try:
            for _ in itertools.count():
                self.made += 1
                yield bytes(1 << 16)
        finally:
            self.stopped.set()

    def breaks(self) -> Iterator[int]:
        """After one item."""
        yield 1
        raise LookupError

    async def progress(self) -> tuple[int, bool]:
        """Items made, and whether that has ended."""
        return self.made, self.stopped.is_set()


@pytest.mark.parametrize("method", ["sync", "on_loop"])
def test_a_stream_runs_no_further_than_its_reader_and_ends_with_it(method: str) -> None:
    handle = local(Counter.bind())
    stream = getattr(handle.options(stream=True), method).remote()
    for _ in range(10):
        assert len(next(stream)) == 1 << 16
    made, stopped = handle.progress.remote().result()
    assert 10 <= made <= 20
    assert not stopped
    stream.cancel()
    wait_until(lambda: handle.progress.remote().result()[1], "the generator is closed")


def test_what_a_generator_raises_comes_after_its_items() -> None:
    stream = local(Counter.bind()).options(stream=True).breaks.remote()
    assert next(stream) == 1
    with pytest.raises(LookupError):
        next(stream)


def test_generators_need_stream() -> None:
    handle = local(Counter.bind())
    with pytest.raises(TypeError, match="stream=True"):
        handle.breaks.remote().result()
    with pytest.raises(TypeError, match="did not return a generator"):
        list(handle.options(stream=True).progress.remote())


# ---- cancellation ----


@serve.deployment
class Sleeper:
    """Until it is cancelled."""

    def __init__(self, inner: Optional[DeploymentHandle] = None) -> None:
        self.inner = inner
        self.state = "idle"

    async def __call__(self) -> None:
        self.state = "asleep"
        try:
            if self.inner is not None:
                await self.inner.remote()
            else:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise

    async def look(self) -> str:
        """How it goes."""
        return self.state

    async def look_inside(self) -> str:
        """How it goes with the other."""
        assert self.inner is not None
        state: str = await self.inner.look.remote()
        return state


def test_a_cancelled_call_ends_and_with_it_those_that_it_made() -> None:
    handle = local(Sleeper.bind(Sleeper.options(name="Inner").bind()))
    call = handle.remote()
    wait_until(lambda: handle.look_inside.remote().result() == "asleep", "both are under way")
    call.cancel()
    wait_until(lambda: handle.look_inside.remote().result() == "cancelled", "both have ended")
    assert handle.look.remote().result() == "cancelled"
    with pytest.raises(RequestCancelledError):
        call.result()


# ---- what Ray Serve's own local testing mode leaves out ----


@serve.deployment
class Model:
    """Batches requests, and keeps models."""

    def __init__(self) -> None:
        self.loads: list[str] = []

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=1000)
    async def batched(self, xs: list[int]) -> list[tuple[int, str, str]]:
        where = serve.get_replica_context().deployment
        return [(len(xs), serve.get_multiplexed_model_id(), where)] * len(xs)

    @serve.multiplexed(max_num_models_per_replica=1)
    async def load(self, model_id: str) -> str:
        self.loads.append(model_id)
        return model_id.upper()

    async def __call__(self) -> tuple[str, list[str]]:
        return await self.load(serve.get_multiplexed_model_id()), self.loads


def test_batches_and_models() -> None:
    handle = local(Model.bind())
    calls = [handle.options(multiplexed_model_id="m").batched.remote(i) for i in range(3)]
    assert [call.result() for call in calls] == [(3, "m", "Model")] * 3
    for model_id in "aab":
        loaded = handle.options(multiplexed_model_id=model_id).remote().result()
    assert loaded == ("B", ["a", "b"])


def test_every_deployment_knows_where_it_is() -> None:
    handle = local(Parent.bind({"all": [Echo.bind()]}), name="here")
    assert handle.places.remote().result() == [("here", "Parent", 0), ("here", "Echo", 0)]
    with pytest.raises(RayServeException):
        serve.get_replica_context()
    assert serve.get_deployment_handle("Echo", "here").later.remote(2).result() == 2
    serve.delete("here")


def test_an_application_ends_with_its_last_handle() -> None:
    handle = local(Echo.options(name="Mortal").bind())
    handle.thread.remote().result()
    serve.delete("default")
    assert handle.later.remote(1).result() == 1
    del handle

    def threads() -> list[str]:
        gc.collect()
        return [t.name for t in threading.enumerate() if t.name == "serve-local-Mortal"]

    wait_until(lambda: not threads(), "its thread has ended")


def test_a_broadcast_has_one_receiver_and_nothing_is_to_be_chosen() -> None:
    handle = local(Echo.bind())
    assert handle.broadcast("later", 1).results() == [1]
    for choose in (handle.choose_replica, handle.dispatch):
        with pytest.raises(NotImplementedError, match="local testing mode"):
            choose()
