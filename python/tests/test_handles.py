"""Handles: calling deployments from a program and from other deployments."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import cloudpickle
import pytest
import ray
from conftest import App, Deployer
from instances import Instance, embedded
from probes import QUICK, Gate, Held, OutOfPaper
from ray import serve
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(max_ongoing_requests=50, **QUICK)
class Office:
    """Something of each kind to call."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return args, kwargs

    def double(self, n: int) -> int:
        return 2 * n

    async def add(self, a: Any, b: Any = 10) -> Any:
        return a + b

    def fail(self, kind: str) -> None:
        if kind == "value":
            raise ValueError("bad value", 3)
        if kind == "key":
            raise KeyError("missing")
        if kind == "own":
            raise OutOfPaper(2, "A4")
        if kind == "unpicklable":
            error = RuntimeError("holds a lock")
            error.lock = (n for n in "")
            raise error
        os._exit(1)

    async def fail_async(self) -> None:
        raise LookupError("nowhere")

    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    async def count_async(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    def count_and_fail(self) -> Iterator[int]:
        yield 1
        raise ValueError("the generator broke")

    def type_of(self, value: Any) -> str:
        return type(value).__name__

    def request_id(self) -> str:
        from penstock.serve.context import request_context

        context = request_context.get()
        return context.request_id if context else ""

    def model(self) -> str:
        return serve.get_multiplexed_model_id()

    def echo(self, value: Any) -> Any:
        return value


@pytest.fixture(scope="module")
def office(deploy_once: Deployer) -> App:
    return deploy_once(Office.bind(), route_prefix=None)


# ---- calls and results ----


def test_arguments_arrive_as_they_are_given(office: App) -> None:
    assert office.handle.remote(1, "two", x=[3]).result() == ((1, "two"), {"x": [3]})
    assert office.handle.add.remote(1).result() == 11
    assert office.handle.add.remote(a=[1], b=[2]).result() == [1, 2]


def test_a_method_by_attribute_or_by_option(office: App) -> None:
    assert office.handle.double.remote(4).result() == 8
    assert office.handle.options(method_name="double").remote(4).result() == 8
    assert office.handle.__call__.remote(1).result() == ((1,), {})


def test_a_response_is_there_before_the_result(deploy: Deployer) -> None:
    app = deploy(Held.bind(Gate.bind()))
    response = app.handle.remote()
    assert isinstance(response, DeploymentResponse)
    with pytest.raises(TimeoutError):
        response.result(timeout_s=0.05)
    app.of("Gate").open.remote().result()
    assert response.result(timeout_s=20) > 0
    assert response.result() == response.result()  # as often as one likes


def test_responses_can_be_awaited(office: App) -> None:
    async def all_of_them() -> list[int]:
        return await asyncio.gather(*[office.handle.double.remote(n) for n in range(20)])

    assert asyncio.run(all_of_them()) == [2 * n for n in range(20)]


def test_result_is_refused_inside_a_loop(office: App) -> None:
    async def wrong() -> None:
        office.handle.double.remote(1).result()

    with pytest.raises(RuntimeError, match="asyncio"):
        asyncio.run(wrong())


def test_values_of_every_kind_go_there_and_back(office: App) -> None:
    import numpy

    array = numpy.arange(300_000, dtype="int32").reshape(300, -1)
    assert (office.handle.echo.remote(array).result() == array).all()
    assert office.handle.echo.remote(lambda x: x + 1).result()(1) == 2
    big = os.urandom(3_000_000)
    assert office.handle.echo.remote(big).result() == big
    assert office.handle.echo.remote(None).result() is None
    assert office.handle.type_of.remote(OutOfPaper(1, "x")).result() == "OutOfPaper"


def test_what_cannot_be_sent_is_an_error_at_once(office: App) -> None:
    with pytest.raises(TypeError, match="pickle"):
        office.handle.echo.remote(n for n in "a")


def test_what_cannot_be_returned_is_an_error_at_the_caller(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    def lends_its_generator() -> Any:
        return [(n for n in "a")]

    with pytest.raises(TypeError, match="pickle"):
        deploy(lends_its_generator.bind(), route_prefix=None).handle.remote().result()


# ---- errors ----


@pytest.mark.parametrize(
    ("kind", "expected", "args"),
    [("value", ValueError, ("bad value", 3)), ("key", KeyError, ("missing",))],
)
def test_an_exception_keeps_its_type_and_tells_where_it_was_raised(
    office: App, kind: str, expected: type[Exception], args: tuple[Any, ...]
) -> None:
    with pytest.raises(expected) as raised:
        office.handle.fail.remote(kind).result()
    assert isinstance(raised.value, RayTaskError)
    assert raised.value.args == args
    assert "in fail" in str(raised.value)
    assert "Traceback (most recent call last)" in str(raised.value)
    assert type(raised.value.cause) is expected


def test_an_exception_of_the_users_own(office: App) -> None:
    with pytest.raises(OutOfPaper) as raised:
        office.handle.fail.remote("own").result()
    assert (raised.value.tray, raised.value.note) == (2, "A4")


def test_an_exception_that_cannot_be_sent_is_told_in_words(office: App) -> None:
    with pytest.raises(RuntimeError, match="holds a lock") as raised:
        office.handle.fail.remote("unpicklable").result()
    (words,) = raised.value.args
    assert words.startswith("Exception builtins.RuntimeError isn't serializable")


def test_an_exception_of_async_code_awaited(office: App) -> None:
    async def call() -> None:
        await office.handle.fail_async.remote()

    with pytest.raises(LookupError, match="nowhere"):
        asyncio.run(call())


def test_an_error_can_be_pickled_on(office: App) -> None:
    with pytest.raises(ValueError, match="bad value") as raised:
        office.handle.fail.remote("value").result()
    again = pickle.loads(pickle.dumps(raised.value))
    assert isinstance(again, ValueError)
    assert str(again) == str(raised.value)


def test_methods_that_are_not_there(office: App) -> None:
    with pytest.raises(RayServeException) as raised:
        office.handle.juggle.remote().result()
    assert "Tried to call a method 'juggle' that does not exist. Available methods: [" in str(raised.value)
    assert "'double'" in str(raised.value)


def test_arguments_that_do_not_fit(office: App) -> None:
    with pytest.raises(TypeError, match="double"):
        office.handle.double.remote().result()


def test_a_replica_that_dies_under_a_call(deploy: Deployer) -> None:
    app = deploy(Office.bind(), route_prefix=None)
    with pytest.raises(RayActorError):
        app.handle.fail.remote("exit").result(timeout_s=20)
    assert app.handle.double.remote(2).result(timeout_s=20) == 4


# ---- cancelling ----


def test_a_cancelled_call(deploy: Deployer) -> None:
    app = deploy(Held.bind(Gate.bind()))
    gate = app.of("Gate")
    response = app.handle.remote()
    wait_until(lambda: gate.count.remote().result() == 1, "it waits at the gate")
    assert not response.cancelled()
    response.cancel()
    response.cancel()
    with pytest.raises(RequestCancelledError) as raised:
        response.result(timeout_s=20)
    assert isinstance(raised.value, TaskCancelledError)
    assert str(raised.value) == f"Request {response.request_id} was cancelled."
    assert response.cancelled()
    wait_until(lambda: gate.count.remote().result() == 0, "what it had called is cancelled too")


def test_cancelling_what_is_done_changes_nothing(office: App) -> None:
    response = office.handle.double.remote(1)
    assert response.result() == 2
    response.cancel()
    assert response.result() == 2
    assert not response.cancelled()


# ---- streams ----


@pytest.mark.parametrize("method", ["count", "count_async"])
def test_a_stream_of_items(office: App, method: str) -> None:
    handle = office.handle.options(stream=True, method_name=method)
    stream = handle.remote(5)
    assert isinstance(stream, DeploymentResponseGenerator)
    assert list(stream) == [0, 1, 2, 3, 4]

    async def collect() -> list[int]:
        return [item async for item in handle.remote(3)]

    assert asyncio.run(collect()) == [0, 1, 2]
    assert list(handle.remote(0)) == []


def test_a_stream_that_breaks_gives_what_came_before(office: App) -> None:
    stream = office.handle.options(stream=True).count_and_fail.remote()
    assert next(stream) == 1
    with pytest.raises(ValueError, match="the generator broke"):
        next(stream)


def test_streams_and_results_are_not_mixed_up(office: App) -> None:
    streaming = office.handle.options(stream=True)
    with pytest.raises(TypeError, match="did not return a generator"):
        list(streaming.double.remote(1))
    with pytest.raises(TypeError, match=r"You must use `handle.options\(stream=True\)`"):
        office.handle.count.remote(1).result()
    stream = streaming.count.remote(1)
    with pytest.raises(TypeError):
        stream.result()

    async def await_it() -> None:
        await stream

    with pytest.raises(TypeError):
        asyncio.run(await_it())
    with pytest.raises(RuntimeError, match="cannot be passed"):
        office.handle.echo.remote(stream)
    assert list(stream) == [0]


# ---- composition ----


def test_a_response_is_an_argument(office: App) -> None:
    handle = office.handle
    total = handle.add.remote(handle.double.remote(10), b=handle.double.remote(11))
    assert total.result() == 42
    chain = handle.double.remote(1)
    for _ in range(9):
        chain = handle.double.remote(chain)
    assert chain.result() == 2**10


def test_a_response_that_failed_is_the_callers_failure(office: App) -> None:
    handle = office.handle
    with pytest.raises(ValueError, match="bad value"):
        handle.add.remote(handle.fail.remote("value"), 1).result()


def test_a_response_deeper_down_cannot_be_sent(office: App) -> None:
    with pytest.raises(RayServeException, match="top-level argument"):
        office.handle.echo.remote([office.handle.double.remote(1)])


def test_references_are_resolved(office: App) -> None:
    assert office.handle.add.remote(ray.put(40), b=ray.put(2)).result() == 42
    reference = office.handle.double.remote(4)._to_object_ref_sync()
    assert ray.get(reference) == 8
    assert office.handle.add.remote(reference, 1).result() == 9
    assert ray.get([ray.put(1), reference]) == [1, 8]


def test_waiting_for_a_reference_has_an_end(deploy: Deployer) -> None:
    app = deploy(Held.bind(Gate.bind()))
    reference = app.handle.remote()._to_object_ref_sync()
    with pytest.raises(GetTimeoutError):
        ray.get(reference, timeout=0.05)
    app.of("Gate").open.remote().result()
    assert ray.get(reference, timeout=20) > 0


def test_bound_deployments_become_handles_wherever_they_are(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Adds:
        def __init__(self, amount: int) -> None:
            self.amount = amount

        def __call__(self, n: int) -> int:
            return n + self.amount

    @serve.deployment(**QUICK)
    class Sums:
        def __init__(self, first: Any, others: dict[str, list[Any]], note: str = "") -> None:
            self.handles = [first, *others["more"]]
            self.note = note

        async def __call__(self, n: int) -> Any:
            kinds = {type(handle).__name__ for handle in self.handles}
            results = await asyncio.gather(*[handle.remote(n) for handle in self.handles])
            return kinds, results, self.note

    one = Adds.bind(1)
    target = Sums.bind(one, {"more": [Adds.bind(2), one]}, note="kept")
    app = deploy(target, route_prefix=None)
    assert app.handle.remote(10).result() == ({"DeploymentHandle"}, [11, 12, 11], "kept")
    # The same application twice is one deployment; two of one name are told apart.
    deployments = serve.status().applications[app.name].deployments
    assert set(deployments) == {"Sums", "Adds", "Adds_1"}


def test_a_chain_of_deployments_passes_responses_on(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Doubles:
        def __call__(self, n: int) -> int:
            return 2 * n

    @serve.deployment(**QUICK)
    class Chain:
        def __init__(self, double: DeploymentHandle) -> None:
            self.double = double

        async def __call__(self, n: int) -> int:
            # The response goes on as it is; nobody waits in between.
            result: int = await self.double.remote(self.double.remote(n))
            return result

        def from_sync_code(self, n: int) -> int:
            result: int = self.double.remote(n).result()
            return result

    app = deploy(Chain.bind(Doubles.bind()), route_prefix=None)
    assert app.handle.remote(3).result() == 12
    assert app.handle.from_sync_code.remote(3).result() == 6


def test_an_exception_goes_through_deployments(deploy: Deployer, office: App) -> None:
    @serve.deployment(**QUICK)
    class Through:
        def __init__(self, office: DeploymentHandle) -> None:
            self.office = office

        async def __call__(self, caught: bool) -> str:
            try:
                await self.office.fail.remote("own")
            except OutOfPaper as error:
                if caught:
                    return f"tray {error.tray}"
                raise
            return "no error"

    app = deploy(Through.bind(office.handle), route_prefix=None)
    assert app.handle.remote(True).result() == "tray 2"
    with pytest.raises(OutOfPaper):
        app.handle.remote(False).result()


# ---- getting handles ----


def test_handles_by_name(office: App, deploy: Deployer) -> None:
    assert serve.get_app_handle(office.name).double.remote(2).result() == 4
    handle = serve.get_deployment_handle("Office", office.name)
    assert handle.double.remote(3).result() == 6
    assert (handle.deployment_name, handle.app_name) == ("Office", office.name)
    assert str(handle.deployment_id) == f"Deployment(name='Office', app='{office.name}')"
    assert handle == office.handle


@pytest.mark.parametrize("name", ["Nobody", "office"])
def test_handles_of_what_is_not_there(office: App, name: str) -> None:
    with pytest.raises(RayServeException, match=r"Application 'nowhere' does not exist\."):
        serve.get_app_handle("nowhere")
    words = rf"Deployment\(name='{name}', app='{office.name}'\) does not exist\."
    with pytest.raises(KeyError, match=words):
        serve.get_deployment_handle(name, office.name)
    with pytest.raises(KeyError, match="does not exist"):
        serve.get_deployment_handle("Office", "nowhere")
    with pytest.raises(RayServeException, match="specify an application name"):
        serve.get_deployment_handle("Office")


def test_inside_a_replica_the_own_application_is_meant(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    def helper() -> str:
        return serve.get_replica_context().app_name

    @serve.deployment(**QUICK)
    class Root:
        def __init__(self, _: DeploymentHandle) -> None: ...

        async def __call__(self) -> str:
            result: str = await serve.get_deployment_handle("helper").remote()
            return result

    app = deploy(Root.bind(helper.bind()), route_prefix=None)
    assert app.handle.remote().result() == app.name


def test_options_of_a_handle(office: App) -> None:
    with pytest.raises(TypeError, match="colour"):
        office.handle.options(colour="blue")
    office.handle.options(request_serialization="msgpack")  # of no effect, as in Ray Serve
    with pytest.raises(NotImplementedError, match="request_serialization"):
        office.handle.options(_by_reference=False).options(request_serialization="msgpack")
    tuned = office.handle.options(multiplexed_model_id="m3", method_name="model")
    assert tuned.remote().result() == "m3"
    assert office.handle.model.remote().result() == ""  # the first is as it was
    assert tuned.options(stream=False).remote().result() == "m3"


def test_a_call_has_an_id(office: App) -> None:
    first, second = office.handle.request_id.remote(), office.handle.request_id.remote()
    assert first.result() == first.request_id
    assert second.result() == second.request_id != first.request_id


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_handles_can_be_pickled(office: App, pickler: Any) -> None:
    tuned = office.handle.options(method_name="double")
    again = pickler.loads(pickler.dumps(tuned))
    assert again == tuned
    assert again.remote(21).result() == 42


def test_a_handle_goes_to_another_application_in_a_call(office: App, deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Borrower:
        async def __call__(self, handles: dict[str, DeploymentHandle]) -> int:
            result: int = await handles["office"].double.remote(21)
            return result

    app = deploy(Borrower.bind(), route_prefix=None)
    assert app.handle.remote({"office": office.handle}).result() == 42


def test_responses_cannot_be_pickled(office: App) -> None:
    with pytest.raises(RayServeException):
        pickle.dumps(office.handle.double.remote(1))


def test_handles_know_whether_there_are_replicas(office: App) -> None:
    assert office.handle.double.remote(1).result() == 2
    assert office.handle.running_replicas_populated()
    assert office.handle.is_initialized


# ---- the replica's context ----


def test_a_replica_knows_itself(deploy: Deployer) -> None:
    @serve.deployment(num_replicas=2, **QUICK)
    class Self:
        def __init__(self) -> None:
            self.at_start = serve.get_replica_context()

        def __call__(self) -> dict[str, Any]:
            context = serve.get_replica_context()
            return {
                "names": (context.app_name, context.deployment),
                "id": context.replica_tag,
                "text": str(context.replica_id),
                "rank": context.rank.rank,
                "world_size": context.world_size,
                "servable": context.servable_object is self,
                "at_start": self.at_start.replica_id == context.replica_id,
                "actor": ray.get_runtime_context().get_actor_name(),
            }

    app = deploy(Self.bind(), route_prefix=None)
    ids = {replica["replica_id"]: replica["rank"] for replica in app.details("Self")["replicas"]}
    found: dict[str, dict[str, Any]] = {}

    def both_answered() -> bool:
        answer = app.handle.remote().result()
        found[answer["id"]] = answer
        return len(found) == 2

    wait_until(both_answered, "both replicas have answered")
    assert {own: answer["rank"] for own, answer in found.items()} == ids
    assert sorted(ids.values()) == [0, 1]
    for own, answer in found.items():
        assert answer["names"] == (app.name, "Self")
        assert answer["text"] == f"Replica(id='{own}', deployment='Self', app='{app.name}')"
        assert answer["world_size"] == 2
        assert answer["servable"]
        assert answer["at_start"]
        assert answer["actor"] == f"SERVE_REPLICA::{app.name}#Self#{own}"


def test_outside_there_is_no_replica() -> None:
    with pytest.raises(RayServeException, match="within a Ray Serve deployment"):
        serve.get_replica_context()
    assert serve.get_multiplexed_model_id() == ""


def test_a_handle_may_be_shut_down(office: App) -> None:
    office.handle.shutdown()
    asyncio.run(office.handle.shutdown_async())
    assert office.handle.double.remote(1).result() == 2  # the router is shared
