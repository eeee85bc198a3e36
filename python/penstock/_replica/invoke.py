"""Running requests: async code on the loop, sync code on threads.

Whatever runs has a request context, so that handles, logs and cancellation know which request it
works for.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Optional

from penstock import _core, _process, _wire
from penstock._replica import http
from penstock._replica.method import Method, find_method
from penstock.serve.context import ReplicaContext, RequestContext, request_context

__all__ = ["Invoker"]

logger = logging.getLogger("ray.serve")


class _Running:
    """A request under way: what has to be cancelled with it."""

    def __init__(self, context: RequestContext) -> None:
        self.context = context
        self.task: Optional[asyncio.Task[None]] = None
        self.future: Optional[Future[None]] = None


class Invoker:
    """Runs the requests of one replica. All methods on the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servable: Any,
        threads: ThreadPoolExecutor,
        replica: ReplicaContext,
    ) -> None:
        self._loop = loop
        self._servable = servable
        self._threads = threads
        self._replica = replica
        self._methods: dict[str, Method] = {}
        self._running: dict[_core.ReplicaCall, _Running] = {}

    def _method(self, name: str) -> Method:
        method = self._methods.get(name)
        if method is None:
            method = find_method(self._servable, name)
            self._methods[name] = method
        return method

    def start(self, call: _core.ReplicaCall) -> None:
        """Begins a request."""
        context = RequestContext(
            request_id=call.request_id,
            route=call.route,
            app_name=self._replica.app_name,
            multiplexed_model_id=call.model_id,
        )
        running = _Running(context)
        self._running[call] = running
        variables = contextvars.copy_context()
        variables.run(request_context.set, context)
        work = self._serve_http(call, variables) if call.is_http else self._serve_call(call, variables)
        running.task = variables.run(self._loop.create_task, work)
        running.task.add_done_callback(lambda _: self._running.pop(call, None))

    def cancel(self, call: _core.ReplicaCall) -> None:
        """Cancels a request and the calls it made. Code on a thread cannot be interrupted."""
        running = self._running.get(call)
        if running is None:
            call.finish()
            return
        for child in list(running.context.children):
            child.cancel()
        if running.task is not None:
            running.task.cancel()

    async def _in_thread(self, variables: contextvars.Context, function: Callable[..., Any], *args: Any) -> Any:
        """Runs sync code on a thread; the slot is held until it is really done."""
        future = self._loop.run_in_executor(self._threads, lambda: variables.run(function, *args))
        cancelled: Optional[asyncio.CancelledError] = None
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError as error:
                if future.cancel():
                    raise
                cancelled = error
            except BaseException:
                break  # the function's own; raised below
        if cancelled is not None:
            raise cancelled
        return future.result()

    # ---- calls through handles ----

    async def _serve_call(self, call: _core.ReplicaCall, variables: contextvars.Context) -> None:
        name = call.method
        try:
            args, kwargs = _wire.load(await http.whole_body(call))
            method = self._method(name)
            if call.wants_stream:
                await self._stream(call, method, variables, args, kwargs)
            else:
                result = await self._call(method, variables, args, kwargs)
                call.reply_result(_wire.dump(result), False)
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self._log(error)
            _raise_at_caller(call, _wire.dump_error(error, name))

    async def _call(
        self, method: Method, variables: contextvars.Context, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if method.is_generator:
            raise TypeError(
                f"Method '{method.name}' returned a generator. You must use `handle.options(stream=True)` "
                "to call generators on a deployment."
            )
        if method.is_async:
            return await method.function(*args, **kwargs)
        result = await self._in_thread(variables, lambda: method.function(*args, **kwargs))
        if inspect.isawaitable(result):
            result = await result
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError(
                f"Method '{method.name}' returned a generator. You must use `handle.options(stream=True)` "
                "to call generators on a deployment."
            )
        return result

    async def _stream(
        self,
        call: _core.ReplicaCall,
        method: Method,
        variables: contextvars.Context,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        outcome = method.function(*args, **kwargs) if method.on_loop or method.is_generator else None
        if outcome is None:
            outcome = await self._in_thread(variables, lambda: method.function(*args, **kwargs))
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if inspect.isasyncgen(outcome):
            async for item in outcome:
                call.send(_wire.dump(item), False)
                await http.until_writable(call)
        elif inspect.isgenerator(outcome):
            await self._in_thread(variables, _Pump(call).run, outcome)
        else:
            raise TypeError(
                f"Called method '{method.name}' with `handle.options(stream=True)` but it did not return a generator."
            )
        call.send(b"", True)

    # ---- HTTP ----

    async def _serve_http(self, call: _core.ReplicaCall, variables: contextvars.Context) -> None:
        try:
            method = self._method("__call__")
            args = (http.make_request(call),) if method.takes_request else ()
            result = await self._call_http(method, variables, args)
            await http.respond(call, result)
        except asyncio.CancelledError:
            call.finish()
        except BaseException as error:
            self._log(error)
            http.respond_error(call, error)

    async def _call_http(self, method: Method, variables: contextvars.Context, args: tuple[Any, ...]) -> Any:
        if method.is_generator:
            raise TypeError(
                f"Method '{method.name}' is a generator: over HTTP, return a `StreamingResponse` that wraps it."
            )
        if method.is_async:
            return await method.function(*args)
        result = await self._in_thread(variables, lambda: method.function(*args))
        return await result if inspect.isawaitable(result) else result

    def _log(self, error: BaseException) -> None:
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

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call
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
            payload = _wire.dump(item)
            _process.loop().post(lambda payload=payload: self._send(payload))
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
