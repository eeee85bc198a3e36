"""gRPC end to end: grpcio's client, the proxy, replicas that know the messages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, Optional

import echo_grpc
import grpc
import pytest
from conftest import App, Deployer
from echo_grpc import EchoStub, Text
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from instances import Instance, embedded, free_port
from ray import serve
from ray.serve.grpc_util import RayServegRPCContext, gRPCInputStream
from waiting import wait_until

_GRPC_PORT = free_port()
_SERVICERS = ["echo_grpc.add_EchoServicer_to_server"]


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16, grpc_options={"port": _GRPC_PORT, "grpc_servicer_functions": _SERVICERS}) as running:
        yield running


@pytest.fixture(scope="module")
def channel(instance: Instance) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{_GRPC_PORT}") as opened:
        yield opened


class Caller:
    """Calls one application."""

    def __init__(self, channel: grpc.Channel, app: App) -> None:
        self._stub: Any = EchoStub(channel)
        self._metadata = [("application", app.name)]

    def __call__(self, method: str, argument: Any, metadata: Any = (), **options: Any) -> Any:
        if isinstance(argument, list):
            argument = iter([Text(value=value) for value in argument])
        elif isinstance(argument, str):
            argument = Text(value=argument)
        options.setdefault("timeout", 30)
        return getattr(self._stub, method)(argument, metadata=[*self._metadata, *metadata], **options)

    def with_call(self, method: str, text: str, metadata: Any = ()) -> Any:
        call = getattr(self._stub, method).with_call
        return call(Text(value=text), metadata=[*self._metadata, *metadata], timeout=30)


@serve.deployment(max_ongoing_requests=20)
class Echo:
    """Methods of each kind; what ``One`` does is in its text."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    async def One(self, request: Any, grpc_context: RayServegRPCContext) -> Any:
        text = request.value
        if text == "fail":
            raise ValueError("no such luck")
        if text == "code":
            grpc_context.set_code(grpc.StatusCode.NOT_FOUND)
            grpc_context.set_details("nothing there: é")
        if text == "fail with code":
            grpc_context.set_code(grpc.StatusCode.ABORTED)
            raise ValueError("given up")
        if text == "trailers":
            grpc_context.set_trailing_metadata([("kitchen", "open"), ("raw-bin", b"\x00\xff")])
        if text == "bad trailers":
            grpc_context.set_trailing_metadata([("Kitchen", "open")])
        if text == "metadata":
            metadata = dict(grpc_context.invocation_metadata())
            return Text(value=f"{metadata['x-custom']} {metadata['raw-bin']!r} {grpc_context.peer().split(':')[0]}")
        if text == "model":
            return Text(value=serve.get_multiplexed_model_id())
        if text == "gzip":
            grpc_context.set_compression(grpc.Compression.Gzip)
            return Text(value="z" * 100_000)
        if text == "wait":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if text == "was cancelled":
            return Text(value=str(self.cancelled.is_set()))
        return Text(value=text[::-1])

    def Out(self, request: Any) -> Iterator[Any]:
        for letter in request.value:
            if letter == "!":
                raise ValueError("no more")
            yield Text(value=letter)

    async def In(self, requests: gRPCInputStream[Any]) -> Any:
        texts = [request.value async for request in requests]
        assert requests.is_exhausted
        assert not requests.is_cancelled()
        return Text(value="+".join(texts))

    async def Both(self, requests: gRPCInputStream[Any], grpc_context: RayServegRPCContext) -> Any:
        async for request in requests:
            yield Text(value=request.value.upper())
        grpc_context.set_trailing_metadata([("said", "goodbye")])


@pytest.fixture(scope="module")
def app(deploy_once: Deployer) -> App:
    return deploy_once(Echo.bind())


@pytest.fixture(scope="module")
def call(channel: grpc.Channel, app: App) -> Caller:
    return Caller(channel, app)


def _error(run: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        run()
    return raised.value


def test_unary(call: Caller) -> None:
    assert call("One", "abc").value == "cba"


def test_large_messages_go_both_ways(call: Caller) -> None:
    text = "ab" * 1_500_000  # below what grpcio's client takes
    assert call("One", text).value == text[::-1]


def test_server_stream(call: Caller) -> None:
    assert [reply.value for reply in call("Out", "abc")] == ["a", "b", "c"]
    assert list(call("Out", "")) == []


def test_client_stream(call: Caller) -> None:
    assert call("In", ["a", "b", "c"]).value == "a+b+c"
    assert call("In", []).value == ""


def test_bidirectional_stream_answers_as_it_is_asked(call: Caller) -> None:
    asked = threading.Semaphore(1)

    def questions() -> Iterator[Any]:
        for text in ("a", "b", "c"):
            assert asked.acquire(timeout=30)
            yield Text(value=text)

    replies = call("Both", questions())
    answers = []
    for reply in replies:
        answers.append(reply.value)
        asked.release()  # the next question comes only when this one has been answered
    assert answers == ["A", "B", "C"]
    assert dict(replies.trailing_metadata())["said"] == "goodbye"


def test_a_long_stream_with_a_slow_reader(call: Caller) -> None:
    replies = call("Out", "x" * 20_000)
    first = next(replies)
    assert first.value == "x"
    assert sum(1 for _ in replies) == 19_999


def test_what_user_code_raises(call: Caller) -> None:
    error = _error(lambda: call("One", "fail"))
    assert error.code() == grpc.StatusCode.INTERNAL
    assert error.details() == "ValueError: no such luck"
    replies = call("Out", "ab!")
    assert [next(replies).value, next(replies).value] == ["a", "b"]
    assert _error(lambda: next(replies)).details() == "ValueError: no more"


def test_a_long_error_is_cut(channel: grpc.Channel, deploy: Deployer) -> None:
    @serve.deployment
    class Long:
        def One(self, request: Any) -> Any:
            raise ValueError("x" * 10_000)

    caller = Caller(channel, deploy(Long.bind()))
    details = _error(lambda: caller("One", "a")).details()
    assert len(details) == 4096
    assert details.endswith("... [truncated]")


def test_a_code_that_user_code_set(call: Caller) -> None:
    error = _error(lambda: call("One", "code"))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert error.details() == "nothing there: é"
    error = _error(lambda: call("One", "fail with code"))
    assert error.code() == grpc.StatusCode.ABORTED
    assert error.details() == "ValueError: given up"


def test_metadata(call: Caller) -> None:
    reply, ended = call.with_call("One", "trailers", [("request_id", "r-1")])
    trailers = ended.trailing_metadata()
    assert trailers[0] == ("request_id", "r-1")
    assert dict(trailers)["kitchen"] == "open"
    assert dict(trailers)["raw-bin"] == b"\x00\xff"
    reply = call("One", "metadata", [("x-custom", "v"), ("raw-bin", b"\x01\xfe")])
    assert reply.value == r"v b'\x01\xfe' ipv4"
    error = _error(lambda: call("One", "bad trailers"))
    assert "'Kitchen'" in error.details()


def test_a_request_without_an_id_gets_one(call: Caller) -> None:
    _, ended = call.with_call("One", "a")
    assert len(dict(ended.trailing_metadata())["request_id"]) == 36


def test_model_id(call: Caller) -> None:
    assert call("One", "model", [("multiplexed_model_id", "m1")]).value == "m1"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compression(call: Caller, compression: grpc.Compression) -> None:
    text = "ab" * 50_000
    assert call("One", text, compression=compression).value == text[::-1]
    assert call("One", "gzip", compression=compression).value == "z" * 100_000
    assert call("In", [text, text], compression=compression).value == f"{text}+{text}"


def test_a_deadline_cancels_user_code(call: Caller) -> None:
    error = _error(lambda: call("One", "wait", timeout=0.3))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: call("One", "was cancelled").value == "True", "the handler was cancelled")


def test_parallel_calls(channel: grpc.Channel, app: App) -> None:
    stub: Any = EchoStub(channel)
    metadata = [("application", app.name)]
    futures = [stub.One.future(Text(value="a" * i), metadata=metadata, timeout=30) for i in range(200)]
    assert [len(future.result().value) for future in futures] == list(range(200))


def test_applications_are_told_apart(channel: grpc.Channel, deploy: Deployer, call: Caller) -> None:
    @serve.deployment
    def rude(request: Any) -> Any:
        return Text(value="never")

    @serve.deployment
    class Polite:
        def __init__(self, other: Any) -> None:
            self.other = other

        async def One(self, request: Any) -> Any:
            return Text(value=(await self.other.remote(request)).value + " mind")

    other = Caller(channel, deploy(Polite.bind(rude.bind())))
    assert other("One", "a").value == "never mind"
    assert call("One", "ab").value == "ba"
    stub: Any = EchoStub(channel)
    error = _error(lambda: stub.One(Text(value="a"), metadata=[("application", "nope")], timeout=30))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert error.details().startswith("Application 'nope' not found. Ping /ray.serve.RayServeAPIService/")
    error = _error(lambda: stub.One(Text(value="a"), timeout=30))
    assert error.details().startswith("Application metadata not set.")


def test_methods_that_do_not_fit(channel: grpc.Channel, deploy: Deployer) -> None:
    @serve.deployment
    class Poor:
        def One(self, request: Any) -> Iterator[Any]:
            yield request

        def Out(self, request: Any) -> Any:
            return request

    caller = Caller(channel, deploy(Poor.bind()))
    assert "'One' is a generator, but its RPC has one reply" in _error(lambda: caller("One", "a")).details()
    assert "'Out' is not a generator" in _error(lambda: list(caller("Out", "a"))).details()
    assert "Tried to call a method 'In' that does not exist" in _error(lambda: caller("In", ["a"])).details()


# ---- services of the proxy ----


def _message(**fields: int) -> Any:
    """A class of messages with these fields, by number: text all of them."""
    name = f"m{len(fields)}_{'_'.join(fields)}"
    file = descriptor_pb2.FileDescriptorProto(name=f"tests/{name}.proto", package="tests", syntax="proto3")
    message = file.message_type.add(name=name)
    for field, number in fields.items():
        message.field.add(name=field, number=number, type=9, label=3)
    try:
        described = descriptor_pool.Default().FindMessageTypeByName(f"tests.{name}")
    except KeyError:
        descriptor_pool.Default().Add(file)
        described = descriptor_pool.Default().FindMessageTypeByName(f"tests.{name}")
    return message_factory.GetMessageClass(described)


def _ask(channel: grpc.Channel, path: str, request: bytes = b"", **options: Any) -> bytes:
    call = channel.unary_unary(path)
    reply: bytes = call(request, timeout=30, **options)
    return reply


def test_applications_and_health(channel: grpc.Channel, app: App) -> None:
    listed = _message(application_names=1).FromString(_ask(channel, "/ray.serve.RayServeAPIService/ListApplications"))
    assert app.name in listed.application_names
    health = _message(message=1).FromString(_ask(channel, "/ray.serve.RayServeAPIService/Healthz"))
    assert list(health.message) == ["success"]
    assert _ask(channel, "/grpc.health.v1.Health/Check", compression=grpc.Compression.Gzip) == b"\x08\x01"
    service = _message(service=1)(service=[echo_grpc.SERVICE]).SerializeToString()
    assert _ask(channel, "/grpc.health.v1.Health/Check", service) == b"\x08\x01"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_the_users_services(channel: grpc.Channel, app: App, version: str) -> None:
    call = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    request = _message(host=1, file_by_filename=3, file_containing_symbol=4, list_services=7)
    questions = [request(list_services=["*"]), request(file_containing_symbol=[f"{echo_grpc.SERVICE}.One"])]
    services, file = call(iter([q.SerializeToString() for q in questions]), timeout=30)
    assert echo_grpc.SERVICE.encode() in services
    described = descriptor_pool.Default().FindServiceByName(echo_grpc.SERVICE).file.serialized_pb
    assert described in file


# ---- options ----


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70_000}, "grpc_options.port"),
        ({"grpc_servicer_functions": ["nowhere.add"]}, "'nowhere.add' can't be imported"),
        ({"grpc_servicer_functions": ["echo_grpc.Text.nothing"]}, "echo_grpc.Text.nothing"),
        ({"grpc_servicer_functions": ["echo_grpc.SERVICE"]}, "is not a callable function"),
        ({"grpc_servicer_functions": ["add"]}, "should be an import path"),
        ({"request_timeout_s": "soon"}, "grpc_options.request_timeout_s"),
    ],
)
def test_bad_options_are_refused_in_words(instance: Instance, options: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, ImportError), match=words.replace("(", r"\(")):
        serve.start(grpc_options=options)


def test_options_have_a_class() -> None:
    options = serve.config.gRPCOptions(grpc_servicer_functions=_SERVICERS)
    assert (options.port, options.enable_reflection, options.request_timeout_s) == (9000, True, None)
    with pytest.raises(ValueError, match=r"grpc_options\.port"):
        serve.config.gRPCOptions(port=-1)


@pytest.mark.parametrize("context_argument", [None, "x"])
def test_a_status_is_a_status_code(context_argument: Optional[str]) -> None:
    context = RayServegRPCContext([("application", "a"), ("request_id", "r")], "ipv4:127.0.0.1:1", "r")
    assert (context.application(), context.request_id(), context.multiplexed_model_id()) == ("a", "r", None)
    with pytest.raises(ValueError, match=r"grpc\.StatusCode"):
        context.set_code(context_argument)
