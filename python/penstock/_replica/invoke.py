"""Running requests: async code on the loop, sync code on threads.

Whatever runs has a request context, so that handles, logs and cancellation know which request it
works for.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import threading
from typing import Any, Callable, Optional

from penstock import _core, _wire
from penstock._replica import body, http
from penstock._replica.asgi import AsgiApp
from penstock._replica.eager import run_eagerly
from penstock._replica.method import Method, find_method
from penstock._replica.runners import Runners
from penstock._replica.scope import make_scope, make_websocket_scope
from penstock.serve.context import ReplicaContext, RequestContext, request_context

__all__ = ["Invoker"]

logger = logging.getLogger("ray.serve")

# First element of _core.ReplicaCall.context()
_CALL, _WEBSOCKET, _GRPC = 2, 3, 4

_GENERATOR_CALLED = (
    "Method '{}' returned a generator. You must use `handle.options(stream=True)` to call generators on a deployment."
)
_GENERATOR_OVER_GRPC = "Method '{}' is a generator, but its RPC has one reply."
_NO_GENERATOR_OVER_GRPC = "Method '{}' is not a generator, but its RPC has a stream of replies."
_GENERATOR_OVER_HTTP = "Method '{}' is a generator: over HTTP, return a `StreamingResponse` that wraps it."
_NO_GENERATOR = "Called method '{}' with `handle.options(stream=True)` but it did not return a generator."


class _Running:
    """A request under way: what has to be cancelled with it."""

    __slots__ = ("context", "task", "websocket")

    def __init__(self, context: RequestContext, task: Optional[asyncio.Task[None]], websocket: bool = False) -> None:
        self.context = context
        self.task = task
        self.websocket = websocket  # its handler is told that the client has gone, not cancelled


class _SyncRequest(_Running):
    """An HTTP request for a thread, where it is answered too (see python/src/loop.h)."""

    __slots__ = ("_call", "_invoker", "_method", "_variables")

    def __init__(
        self,
        invoker: Invoker,
        call: _core.ReplicaCall,
        method: Method,
        context: RequestContext,
        variables: contextvars.Context,
    ) -> None:
        super().__init__(context, None)
        self._invoker = invoker
        self._call = call
        self._method = method
        self._variables = variables

    def __call__(self) -> None:
        call = self._call
        try:
            if not call.cancelled and not self._answered():
                return
        except BaseException as error:
            self._variables.run(self._invoker.log_failure, call, error)
            http.respond_error(call, error)
        self._invoker.ended(call)
        if call.cancelled:  # it may have been at any time: then what was said was dropped
            call.finish()

    def _answered(self) -> bool:
        """Calls user code, and answers unless that takes its time."""
        arguments = (self._invoker.request(self._call),) if self._method.takes_request else ()
        result = self._variables.run(self._method.function, *arguments)
        if isinstance(result, (str, bytes)) or not inspect.isawaitable(result):
            reply = http.whole_reply(result)
            if reply is not None:
                self._call.reply(*reply, True)
                return True
        self._invoker.runners.tell(lambda: self._finish_later(result))
        return False

    def _finish_later(self, result: Any) -> None:
        """On the loop: in a task of its own, this is a callback."""
        self.task = self._invoker.finish_later(self._call, result, self._variables)


class Invoker:
    """Runs the requests of one replica. On the loop's thread, but for what a ``_SyncRequest`` calls."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servable: Any,
        runners: Runners,
        replica: ReplicaContext,
        asgi: Optional[AsgiApp] = None,
    ) -> None:
        self._loop = loop
        self._servable = servable
        self.runners = runners
        self._app_name = replica.app_name
        self._methods: dict[str, Method] = {}
        self._entry: Optional[Method] = None  # the one that takes requests, once it was found
        self._running: dict[_core.ReplicaCall, _Running] = {}
        self._asgi = asgi  # of @serve.ingress

    @functools.cached_property
    def request(self) -> Any:
        """Makes the request that user code sees. Imported by replicas that take HTTP: it brings Starlette."""
        from penstock._replica.request import LazyRequest

        return LazyRequest

    def _method(self, name: str) -> Method:
        method = self._methods.get(name)
        if method is None:
            method = find_method(self._servable, name)
            self._methods[name] = method
        return method

    def start(self, call: _core.ReplicaCall) -> None:
        """Begins a request; one that does not wait has ended when this returns."""
        kind, request_id, route, model_id, session_id = call.context()
        context = RequestContext(request_id, route, self._app_name, model_id, session_id)
        variables = contextvars.copy_context()
        variables.run(request_context.set, context)
        if kind == _CALL:
            work = self._serve_call(call)
        elif kind == _WEBSOCKET:
            work = self._serve_websocket(call)
        elif kind == _GRPC:
            work = self._serve_grpc(call)
        elif self._asgi is not None:
            work = self._serve_asgi(self._asgi, call)
        else:
            method = self._entry or variables.run(self._http_method, call)
            if method is None:
                return
            if not method.is_async:
                self._running[call] = request = _SyncRequest(self, call, method, context, variables)
                self.runners.submit(request)
                return
            work = self._serve_async(call, method)
        task = run_eagerly(self._loop, work, variables)
        if not task.done():
            self._running[call] = _Running(context, task, kind == _WEBSOCKET)

    def cancel(self, call: _core.ReplicaCall) -> None:
        """Cancels a request and the calls it made. Code on a thread cannot be interrupted."""
        running = self._running.get(call)
        if running is None:
            call.finish()
            return
        if running.websocket:
            return
        running.context.cancel_children()
        if running.task is not None:
            running.task.cancel()

    def ended(self, call: _core.ReplicaCall) -> None:
        """The request is over."""
        self._running.pop(call, None)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs sync code on a thread; the slot is held until it is really done."""
        context = contextvars.copy_context()  # a copy: only one thread at a time may be in one
        job = self.runners.run(lambda: context.run(function, *args))
        cancelled: Optional[asyncio.CancelledError] = None
        while not job.future.done():
            try:
                await asyncio.shield(job.future)
            except asyncio.CancelledError as error:
                if job.drop():
                    raise
                cancelled = error
            except BaseException:
                break  # the function's own; raised below
        if cancelled is not None:
            raise cancelled
        return job.future.result()

    # ---- HTTP ----

    def _http_method(self, call: _core.ReplicaCall) -> Optional[Method]:
        """The method that takes requests; None when there is none, and the call was told so."""
        try:
            method = self._method("__call__")
            if method.is_generator:
                raise TypeError(_GENERATOR_OVER_HTTP.format(method.name))
        except Exception as error:
            self.log_failure(call, error)
            http.respond_error(call, error)
            return None
        self._entry = method
        return method

    async def _serve_async(self, call: _core.ReplicaCall, method: Method) -> None:
        try:
            if method.takes_request:
                result = await method.function(self.request(call))
            else:
                result = await method.function()
            await http.respond(call, result)
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self.log_failure(call, error)
            http.respond_error(call, error)
        finally:
            self.ended(call)

    async def _serve_asgi(self, app: AsgiApp, call: _core.ReplicaCall) -> None:
        scope = make_scope(call)
        try:
            await app(scope, body.Receive(call), http.Send(call, scope))
            if not call.replied:
                raise RuntimeError("ASGI callable returned without starting response.")
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self.log_failure(call, error)
            http.respond_error(call, error)
        finally:
            self.ended(call)

    async def _serve_websocket(self, call: _core.ReplicaCall) -> None:
        from penstock._replica.websocket import WebSocketSession

        session = WebSocketSession(call)
        try:
            if self._asgi is None:
                session.refuse()
            else:
                await self._asgi(make_websocket_scope(call), session.receive, session.send)
                session.end()
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self.log_failure(call, error)
            session.fail()
        finally:
            self.ended(call)

    def finish_later(self, call: _core.ReplicaCall, result: Any, variables: contextvars.Context) -> asyncio.Task[None]:
        """Answers with what sync code returned and that takes its time."""
        return variables.run(self._loop.create_task, self._finish(call, result))

    async def _finish(self, call: _core.ReplicaCall, result: Any) -> None:
        try:
            if inspect.isawaitable(result):
                result = await result
            await http.respond(call, result)
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self.log_failure(call, error)
            http.respond_error(call, error)
        finally:
            self.ended(call)

    # ---- calls through handles ----

    async def _serve_call(self, call: _core.ReplicaCall) -> None:
        name = call.method
        try:
            args, kwargs = _wire.load(call.take_body() if call.body_ended else await body.whole_body(call))
            method = self._method(name)
            if method.is_async and not call.wants_stream:
                call.reply_result(_wire.dump(await method.function(*args, **kwargs)), False)
            elif call.wants_stream:
                await self._stream(call, method, args, kwargs, _wire.dump, _NO_GENERATOR)
                call.send(b"", True)
            else:
                result = await self._call(method, args, kwargs, _GENERATOR_CALLED)
                call.reply_result(_wire.dump(result), False)
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self.log_failure(call, error)
            _raise_at_caller(call, _wire.dump_error(error, name))
        finally:
            self.ended(call)

    async def _call(self, method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], no_generator: str) -> Any:
        if method.is_generator:
            raise TypeError(no_generator.format(method.name))
        if method.is_async:
            return await method.function(*args, **kwargs)
        result = await self._in_thread(lambda: method.function(*args, **kwargs))
        if inspect.isawaitable(result):
            result = await result
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError(no_generator.format(method.name))
        return result

    async def _stream(
        self,
        call: _core.ReplicaCall,
        method: Method,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        encode: Callable[[Any], bytes],
        no_generator: str,
    ) -> None:
        """Sends the items of a generator; the end is the caller's to send."""
        outcome = method.function(*args, **kwargs) if method.on_loop or method.is_generator else None
        if outcome is None:
            outcome = await self._in_thread(lambda: method.function(*args, **kwargs))
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if inspect.isasyncgen(outcome):
            async for item in outcome:
                call.send(encode(item), False)
                if not call.writable:
                    await body.until_writable(call)
        elif inspect.isgenerator(outcome):
            await self._in_thread(_Pump(call, self.runners, encode).run, outcome)
        else:
            raise TypeError(no_generator.format(method.name))

    # ---- gRPC ----

    async def _serve_grpc(self, call: _core.ReplicaCall) -> None:
        from penstock._replica.grpc import GrpcSession

        session = GrpcSession(call)
        try:
            session.begin()
            method = self._method(call.method)
            args = (session.stream() if call.takes_stream else await session.message(),)
            kwargs = {"grpc_context": session.context} if method.takes_grpc_context else {}
            if call.wants_stream:
                await self._stream(call, method, args, kwargs, session.frame, _NO_GENERATOR_OVER_GRPC)
                session.end()
            else:
                session.reply(await self._call(method, args, kwargs, _GENERATOR_OVER_GRPC))
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self.log_failure(call, error)
            session.fail(error)
        finally:
            self.ended(call)

    def log_failure(self, call: _core.ReplicaCall, error: BaseException) -> None:
        """User code raised. In the request's context."""
        call.note_failure(type(error).__name__)
        logger.error("Request failed.", exc_info=error)


def _raise_at_caller(call: _core.ReplicaCall, payload: bytes) -> None:
    if call.cancelled:
        call.finish()
    elif call.replied:
        call.send(payload, True, failure=True)
    else:
        call.reply_result(payload, True)


class _Pump:
    """Sends the items of a sync generator from a thread, no faster than the caller takes them."""

    def __init__(self, call: _core.ReplicaCall, runners: Runners, encode: Callable[[Any], bytes]) -> None:
        self._call = call
        self.runners = runners
        self._encode = encode
        self._room = threading.Event()
        self._room.set()
        self._ended = False

    def run(self, generator: Any) -> None:
        """On a thread."""
        for item in generator:
            self._room.wait()
            if self._ended:
                generator.close()
                return
            self._room.clear()
            payload = self._encode(item)
            self.runners.tell(lambda payload=payload: self._send(payload))  # type: ignore[misc]
        self._room.wait()  # the last item has been sent before the end is

    def _send(self, payload: bytes) -> None:
        self._call.send(payload, False)
        if self._call.cancelled:
            self._ended = True
        if self._call.writable or self._ended:
            self._room.set()
        else:
            self._call.set_on_writable(self._go_on)

    def _go_on(self) -> None:
        self._ended = self._call.cancelled
        self._room.set()
