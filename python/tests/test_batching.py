"""``@serve.batch``: which calls go together, when, and what each caller gets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable, Optional

import cloudpickle
import pytest
from conftest import Deployer
from instances import Instance, embedded
from probes import QUICK, Gate
from ray import serve
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from waiting import wait_until

from penstock.serve import context
from penstock.serve.context import (
    DeploymentID,
    ReplicaContext,
    ReplicaID,
    ReplicaRank,
    RequestContext,
)

# Longer than any test: only what makes a batch full may make it leave.
NEVER_S = 1000.0


class Log:
    """Remembers batches; lets them end one after another if it is held."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def note(self, items: Any) -> None:
        self.batches.append(items)
        await self.gate.wait()


async def turns(count: int = 5) -> None:
    """Lets everything happen that does not wait for time."""
    for _ in range(count):
        await asyncio.sleep(0)


def echo(log: Log, **options: Any) -> Any:
    options.setdefault("batch_wait_timeout_s", NEVER_S)

    @serve.batch(**options)
    async def work(xs: list[Any]) -> list[Any]:
        await log.note(xs)
        return xs

    return work


async def outcomes(*calls: Any) -> list[Any]:
    """Results, or the types of what was raised."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return [type(one) if isinstance(one, BaseException) else one for one in done]


# ---- the decorator ----


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_batch_size": 0}, ValueError),
        ({"max_batch_size": -3}, ValueError),
        ({"max_batch_size": 1.5}, TypeError),
        ({"max_batch_size": "4"}, TypeError),
        ({"max_batch_size": None}, TypeError),
        ({"batch_wait_timeout_s": -0.1}, ValueError),
        ({"batch_wait_timeout_s": float("nan")}, ValueError),
        ({"batch_wait_timeout_s": "1"}, TypeError),
        ({"max_concurrent_batches": 0}, TypeError),
        ({"max_concurrent_batches": 2.0}, TypeError),
        ({"batch_size_fn": 3}, TypeError),
    ],
)
def test_options_out_of_range(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        serve.batch(**options)


def test_a_whole_number_may_be_a_float() -> None:
    async def go() -> list[list[int]]:
        log = Log()
        work = echo(log, max_batch_size=2.0)
        await asyncio.gather(work(1), work(2))
        return log.batches

    assert asyncio.run(go()) == [[1, 2]]


@pytest.mark.parametrize("decorate", [serve.batch, serve.batch()])
def test_only_async_functions(decorate: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="must be 'async def'"):
        decorate(lambda xs: xs)
    with pytest.raises(TypeError, match="functions or methods"):
        decorate(5)


def test_it_looks_like_the_function() -> None:
    @serve.batch
    async def work(xs: list[int]) -> list[int]:
        """Words."""
        return xs

    assert (work.__name__, work.__doc__) == ("work", "Words.")


# ---- when a batch leaves ----


def test_a_full_batch_leaves_at_once() -> None:
    async def go() -> None:
        log = Log()
        work = echo(log, max_batch_size=3)
        assert await asyncio.gather(*map(work, range(6))) == [0, 1, 2, 3, 4, 5]
        assert log.batches == [[0, 1, 2], [3, 4, 5]]

    asyncio.run(go())


def test_an_incomplete_batch_leaves_when_its_time_is_up() -> None:
    async def go() -> None:
        log = Log()
        work = echo(log, max_batch_size=3, batch_wait_timeout_s=0.02)
        assert await asyncio.gather(*map(work, range(5))) == [0, 1, 2, 3, 4]
        assert log.batches == [[0, 1, 2], [3, 4]]

    asyncio.run(go())


def test_without_a_time_callers_of_one_turn_still_go_together() -> None:
    async def go() -> None:
        log = Log()
        work = echo(log, batch_wait_timeout_s=0)
        await asyncio.gather(*map(work, range(4)))
        assert log.batches == [[0, 1, 2, 3]]

    asyncio.run(go())


def test_a_batch_that_may_not_run_yet_fills_up() -> None:
    async def go() -> None:
        log = Log()
        log.gate.clear()
        work = echo(log, max_batch_size=3, batch_wait_timeout_s=0)
        calls = [asyncio.create_task(work(0))]
        await turns()
        assert log.batches == [[0]]
        for item in (1, 2, 3, 4):  # their time is up long before they may go
            calls.append(asyncio.create_task(work(item)))
            await turns()
        assert log.batches == [[0]]
        log.gate.set()
        assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
        assert log.batches == [[0], [1, 2, 3], [4]]

    asyncio.run(go())


@pytest.mark.parametrize("limit", [1, 3])
def test_so_many_batches_at_once_and_no_more(limit: int) -> None:
    async def go() -> None:
        log = Log()
        log.gate.clear()
        work = echo(log, max_batch_size=1, max_concurrent_batches=limit)
        calls = [asyncio.create_task(work(item)) for item in range(5)]
        await turns()
        assert len(log.batches) == limit
        log.gate.set()
        assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]

    asyncio.run(go())


def test_settings_apply_to_the_next_batch() -> None:
    async def go() -> None:
        log = Log()
        work = echo(log, max_batch_size=2)
        first = asyncio.create_task(work(0))
        await turns()
        work.set_max_batch_size(3)
        await asyncio.gather(first, *map(work, range(1, 5)))
        assert log.batches == [[0, 1], [2, 3, 4]]
        work.set_batch_wait_timeout_s(0)
        await work(5)
        assert log.batches[-1] == [5]
        with pytest.raises(ValueError, match="max_batch_size"):
            work.set_max_batch_size(0)
        with pytest.raises(TypeError, match="batch_wait_timeout_s"):
            work.set_batch_wait_timeout_s("soon")

    asyncio.run(go())


# ---- sizes of the user's own measure ----


def test_what_would_overflow_goes_to_the_end_of_the_queue() -> None:
    async def go() -> None:
        log = Log()
        log.gate.clear()
        work = echo(log, max_batch_size=10, batch_wait_timeout_s=0, batch_size_fn=sum)
        calls = []
        for item in (9, 10, 6, 7, 3):
            calls.append(asyncio.create_task(work(item)))
            await turns()
        log.gate.set()
        assert await asyncio.gather(*calls) == [9, 10, 6, 7, 3]
        assert log.batches == [[9], [10], [6], [3, 7]]  # 7 and 6 are too much: 3 overtakes it

    asyncio.run(go())


def test_what_fits_no_batch_fails_alone() -> None:
    async def go() -> None:
        log = Log()
        work = echo(log, max_batch_size=4, batch_wait_timeout_s=0, batch_size_fn=sum)
        assert await outcomes(*map(work, (1, 5, 2))) == [1, RuntimeError, 2]

    asyncio.run(go())


def test_who_cannot_be_measured_fails_alone() -> None:
    async def go() -> None:
        work = echo(Log(), batch_wait_timeout_s=0, batch_size_fn=sum)
        assert await outcomes(*map(work, (1, "x", 2))) == [1, TypeError, 2]

    asyncio.run(go())


# ---- what callers get ----


def test_an_exception_is_everybodys() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0)
    async def work(xs: list[int]) -> list[int]:
        if 0 in xs:
            raise ZeroDivisionError
        return xs

    async def go() -> None:
        assert await outcomes(*map(work, (0, 1, 2, 3))) == [
            ZeroDivisionError,
            ZeroDivisionError,
            2,
            3,
        ]

    asyncio.run(go())


@pytest.mark.parametrize("result", [[], [1, 2, 3], 5, None], ids=str)
def test_a_result_of_another_length_is_an_error(result: Any) -> None:
    @serve.batch(max_batch_size=2)
    async def work(xs: list[int]) -> Any:
        return result

    async def go() -> None:
        for call in await asyncio.gather(work(1), work(2), return_exceptions=True):
            assert isinstance(call, RayServeException)
            assert "doesn't preserve batch size" in str(call)

    asyncio.run(go())


def test_one_list_for_each_parameter() -> None:
    calls = []

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0)
    async def work(a: list[int], b: list[int] = [7], *, c: list[int] = [8]) -> list[int]:  # noqa: B006
        calls.append((a, b, c))
        return a

    async def go() -> None:
        await asyncio.gather(work(1, 2, c=3), work(4, c=6, b=5), work(b=8, a=7, c=9))
        await asyncio.gather(work(1), work(2))  # none gives the others: they are the function's own
        await asyncio.gather(work(1), work(2, 3))

    asyncio.run(go())
    assert calls == [
        ([1, 4, 7], [2, 5, 8], [3, 6, 9]),
        ([1, 2], [7], [8]),
        ([1, 2], [[7], 3], [[8], [8]]),
    ]


def test_wrong_arguments_fail_alone() -> None:
    async def go() -> None:
        work = echo(Log(), max_batch_size=2)
        assert await outcomes(work(1), work(), work(1, 2), work(x=3), work(2)) == [
            1,
            *[TypeError] * 3,
            2,
        ]

    asyncio.run(go())


def test_requests_that_were_cancelled_do_not_run() -> None:
    async def go() -> None:
        log = Log()
        log.gate.clear()
        work = echo(log, max_batch_size=2)
        calls = [asyncio.create_task(work(item)) for item in range(6)]
        await turns()
        assert log.batches == [[0, 1]]
        for call in (calls[0], calls[2], calls[4]):
            call.cancel()
        await turns()
        log.gate.set()
        gone = asyncio.CancelledError
        assert await outcomes(*calls) == [gone, 1, gone, 3, gone, 5]
        assert log.batches == [[0, 1], [3, 5]]

    asyncio.run(go())


def test_a_batch_of_nobody_does_not_run() -> None:
    async def go() -> None:
        log = Log()
        work = echo(log, batch_wait_timeout_s=0)
        call = asyncio.create_task(work(1))
        await asyncio.sleep(0)
        call.cancel()
        await turns()
        assert await work(2) == 2
        assert log.batches == [[2]]

    asyncio.run(go())


# ---- methods ----


class Model:
    """With a queue that its instances share."""

    def __init__(self, name: str) -> None:
        self.name = name

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=NEVER_S)
    async def work(self, xs: list[int]) -> list[str]:
        return [f"{self.name}{x}/{len(xs)}" for x in xs]

    @serve.batch(max_batch_size=1)
    async def __hidden(self, xs: list[int]) -> list[str]:
        return [self.name for _ in xs]

    async def hidden(self, x: int) -> Any:
        return await self.__hidden(x)

    @classmethod
    @serve.batch(max_batch_size=1)
    async def of_class(cls, xs: list[int]) -> list[str]:
        return [cls.__name__ for _ in xs]

    @staticmethod
    @serve.batch(max_batch_size=1)
    async def of_nobody(xs: list[int]) -> list[int]:
        return xs


class Special(Model):
    """Calls what it overrides."""

    async def work(self, x: int) -> Any:
        return await super().work(x)


def test_one_queue_for_all_instances_and_each_its_own_self() -> None:
    async def go() -> None:
        a, b = Model("a"), Model("b")
        calls = (a.work(1), b.work(2), a.work(3), a.work(4))
        assert await asyncio.gather(*calls) == ["a1/3", "b2/1", "a3/3", "a4/3"]

    asyncio.run(go())


def test_methods_of_every_kind() -> None:
    async def go() -> None:
        special = Special("s")
        assert await asyncio.gather(*map(special.work, range(4))) == [f"s{i}/4" for i in range(4)]
        assert await special.hidden(1) == "s"
        assert await Special.of_class(1) == await special.of_class(1) == "Special"
        assert await Special.of_nobody(special) is special

    asyncio.run(go())


# ---- generators ----


async def collect(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def test_each_caller_gets_its_own_stream() -> None:
    @serve.batch(max_batch_size=3)
    async def work(xs: list[str]) -> AsyncIterator[list[Any]]:
        for step in range(3):
            # The second caller has had enough after one item, the third before the first.
            yield [
                f"{xs[0]}{step}",
                StopIteration if step else f"{xs[1]}{step}",
                StopAsyncIteration,
            ]

    async def go() -> None:
        streams = [work(x) for x in "abc"]  # queued now: nobody listens yet
        assert await asyncio.gather(*map(collect, streams)) == [["a0", "a1", "a2"], ["b0"], []]

    asyncio.run(go())


def test_items_come_as_they_are_made() -> None:
    gate: list[asyncio.Event] = []

    @serve.batch(max_batch_size=1)
    async def work(xs: list[int]) -> AsyncIterator[list[int]]:
        yield xs
        await gate[0].wait()
        yield xs

    async def go() -> None:
        gate.append(asyncio.Event())
        stream = work(1)
        assert await stream.__anext__() == 1
        gate[0].set()
        assert await collect(stream) == [1]

    asyncio.run(go())


def test_what_a_generator_raises_comes_after_its_items() -> None:
    @serve.batch(max_batch_size=2)
    async def work(xs: list[Any]) -> AsyncIterator[list[Any]]:
        yield xs
        raise LookupError

    async def go() -> None:
        for stream in [work(1), work(2)]:
            assert await stream.__anext__() in (1, 2)
            with pytest.raises(LookupError):
                await stream.__anext__()

    asyncio.run(go())


def test_a_generator_that_yields_another_length() -> None:
    @serve.batch(max_batch_size=2)
    async def work(xs: list[Any]) -> AsyncIterator[list[Any]]:
        yield [1]

    async def go() -> None:
        assert await outcomes(*map(collect, [work(1), work(2)])) == [RayServeException] * 2

    asyncio.run(go())


def test_a_generator_ends_when_nobody_listens() -> None:
    ended: list[asyncio.Event] = []

    @serve.batch(max_batch_size=2)
    async def work(xs: list[Any]) -> AsyncIterator[list[Any]]:
        try:
            while True:
                yield xs
                await asyncio.sleep(0)
        finally:
            ended[0].set()

    async def go() -> None:
        ended.append(asyncio.Event())
        streams = [work(1), work(2)]
        for stream in streams:
            await stream.__anext__()
        await streams[0].aclose()
        await turns()
        assert not ended[0].is_set()
        await streams[1].aclose()
        await ended[0].wait()

    asyncio.run(go())


# ---- the request that a batch works on ----


def as_request(model_id: str, call: Callable[[], Any], **fields: str) -> asyncio.Task[Any]:
    """A call as if on behalf of a request for the model."""

    async def run() -> Any:
        context.request_context.set(RequestContext(multiplexed_model_id=model_id, **fields))
        return await call()

    return asyncio.create_task(run())


def test_one_call_for_each_model_and_these_at_once() -> None:
    seen: list[Any] = []

    async def go() -> None:
        together = asyncio.Event()

        @serve.batch(max_batch_size=5, batch_wait_timeout_s=NEVER_S)
        async def work(xs: list[int]) -> list[str]:
            seen.append((serve.get_multiplexed_model_id(), xs))
            if len(seen) == 3:
                together.set()
            await together.wait()
            return [serve.get_multiplexed_model_id()] * len(xs)

        ids = ("b", "a", "b", "", "a")
        calls = [as_request(model_id, lambda i=i: work(i)) for i, model_id in enumerate(ids)]
        assert await asyncio.gather(*calls) == list(ids)

    asyncio.run(go())
    assert seen == [("b", [0, 2]), ("a", [1, 4]), ("", [3])]


def test_a_batch_belongs_to_no_single_request() -> None:
    async def go() -> None:
        @serve.batch(max_batch_size=2)
        async def work(xs: list[int]) -> list[Any]:
            return [context.request_context.get()] * 2

        calls = [as_request("m", lambda: work(1), request_id=r, app_name="app", route="/r") for r in "xy"]
        (seen, _) = await asyncio.gather(*calls)
        assert (seen.request_id, seen.app_name, seen.route) == ("", "app", "/r")

    asyncio.run(go())


# ---- where it runs ----


def test_every_event_loop_has_its_own_queue() -> None:
    work = echo(Log(), max_batch_size=2)

    async def go() -> list[int]:
        return await asyncio.gather(work(1), work(2))

    assert asyncio.run(go()) == asyncio.run(go()) == [1, 2]


def test_it_can_be_shipped_after_it_was_used() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0)
    async def work(xs: list[int]) -> list[int]:
        return [len(xs)] * len(xs)

    async def go(function: Any) -> list[int]:
        return await asyncio.gather(*map(function, range(3)))

    assert asyncio.run(go(work)) == [2, 2, 1]
    work.set_max_batch_size(3)
    assert asyncio.run(go(cloudpickle.loads(cloudpickle.dumps(work)))) == [3, 3, 3]


@pytest.fixture
def in_replica() -> Iterator[Callable[[int], None]]:
    """Makes this process look like a replica that takes so many requests at once."""

    def enter(max_ongoing_requests: int) -> None:
        replica = ReplicaID("r", DeploymentID("D"))
        context.set_replica_context(
            ReplicaContext(replica, None, ReplicaRank(0), 1, max_ongoing_requests=max_ongoing_requests)
        )

    yield enter
    context.set_replica_context(None)


@pytest.mark.parametrize(("limit", "warned"), [(7, True), (8, False)])
def test_a_batch_that_can_never_be_full_is_warned_about(
    in_replica: Callable[[int], None], caplog: pytest.LogCaptureFixture, limit: int, warned: bool
) -> None:
    logging.getLogger("ray.serve").addHandler(caplog.handler)
    in_replica(limit)
    asyncio.run(echo(Log(), max_batch_size=4, max_concurrent_batches=2, batch_wait_timeout_s=0)(1))
    logging.getLogger("ray.serve").removeHandler(caplog.handler)
    assert any("max_ongoing_requests (7)" in line for line in caplog.messages) == warned


# ---- in a replica ----


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=8) as running:
        yield running


@serve.deployment(max_ongoing_requests=20, **QUICK)
class Batched:
    """Batches of three, or of who has waited; they can be held at a gate."""

    def __init__(self, gate: Optional[DeploymentHandle] = None) -> None:
        self._gate = gate
        self._batches: list[list[Any]] = []
        self._asked = 0

    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0.01)
    async def __call__(self, xs: list[Any]) -> list[Any]:
        self._batches.append([x if isinstance(x, int) else x.query_params["x"] for x in xs])
        if self._gate is not None:
            await self._gate.wait.remote()
        return [f"{serve.get_multiplexed_model_id()}:{len(xs)}" for _ in xs]

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=NEVER_S)
    async def count(self, xs: list[int]) -> AsyncIterator[list[int]]:
        """Down from each number."""
        for step in range(max(xs)):
            yield [x - step if x > step else StopIteration for x in xs]  # type: ignore[misc]

    async def ask(self, x: int) -> Any:
        """As the call itself, but counted."""
        self._asked += 1
        return await self(x)

    async def seen(self) -> tuple[int, list[list[Any]]]:
        """How many asked, and the batches that ran."""
        return self._asked, self._batches


def test_calls_through_handles_and_http(deploy: Deployer) -> None:
    app = deploy(Batched.bind())
    assert {r.result() for r in [app.handle.remote(i) for i in range(3)]} <= {":1", ":2", ":3"}
    assert app.get("?x=a").text == ":1"
    assert app.handle.seen.remote().result()[1][-1] == ["a"]


def test_requests_for_different_models_are_not_mixed(deploy: Deployer) -> None:
    app = deploy(Batched.bind())
    handles = [app.handle.options(multiplexed_model_id=m) for m in "abc"]
    assert [r.result()[0] for r in [h.remote(0) for h in handles]] == ["a", "b", "c"]


def test_a_batched_generator_is_a_streaming_method(deploy: Deployer) -> None:
    app = deploy(Batched.bind())
    streaming = app.handle.options(stream=True)
    streams = [streaming.count.remote(n) for n in (2, 3)]
    assert [list(stream) for stream in streams] == [[2, 1], [3, 2, 1]]


def test_a_request_cancelled_in_the_queue_does_not_run(deploy: Deployer) -> None:
    app = deploy(Batched.bind(Gate.bind()))
    gate = app.of("Gate")
    first = app.handle.ask.remote(0)
    wait_until(lambda: gate.count.remote().result() == 1, "the first batch is held")
    later = [app.handle.ask.remote(i) for i in (1, 2)]
    wait_until(lambda: app.handle.seen.remote().result()[0] == 3, "the others wait behind it")
    later[0].cancel()
    app.handle.seen.remote().result()  # on the same connection: the replica has heard of it now
    gate.open.remote().result()
    assert (first.result(), later[1].result()) == (":1", ":1")
    assert app.handle.seen.remote().result()[1] == [[0], [2]]
