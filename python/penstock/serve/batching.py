"""``@serve.batch``: calls with single values become one call with lists."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import weakref
from typing import Any, Callable, Optional

from penstock.serve._batch_queue import Queue, Request, Sink, Stream
from penstock.serve._methods import Methods
from penstock.serve.context import (
    RequestContext,
    current_replica,
    local_replica,
    request_context,
)
from penstock.serve.exceptions import RayServeException

__all__ = ["batch"]

logger = logging.getLogger("ray.serve")


def _batch_size(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise TypeError(f"max_batch_size must be an integer >= 1, got {value!r}.")
    if value < 1:
        raise ValueError(f"max_batch_size must be an integer >= 1, got {value}.")
    return value


def _wait_timeout(value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"batch_wait_timeout_s must be a number >= 0, got {value!r}.")
    if not value >= 0:
        raise ValueError(f"batch_wait_timeout_s must be a number >= 0, got {value}.")
    return value


def _concurrent_batches(value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise TypeError(f"max_concurrent_batches must be an integer >= 1, got {value!r}.")
    return value


def _size_function(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"batch_size_fn must be callable or None, got {value!r}.")
    return value


def _positional_counts(signature: inspect.Signature) -> range:
    """How many positional arguments are a complete call by themselves; empty when none is."""
    parameters = list(signature.parameters.values())
    if any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
        return range(0)
    required = sum(p.default is p.empty for p in parameters)
    return range(required, len(parameters) + 1)


def _columns(requests: list[Request]) -> Optional[tuple[list[list[Any]], dict[str, list[Any]]]]:
    """One list per parameter; None when the requests give different parameters."""
    first = requests[0]
    for request in requests:
        if len(request.args) != len(first.args) or request.kwargs.keys() != first.kwargs.keys():
            return None
    args = [list(column) for column in zip(*(request.args for request in requests))]
    return args, {name: [request.kwargs[name] for request in requests] for name in first.kwargs}


def _check_length(results: Any, wanted: int) -> None:
    try:
        length = len(results)
    except TypeError:
        raise RayServeException(
            "Batched function doesn't preserve batch size. The input list has length "
            f"{wanted} but the function returned {type(results).__name__}, which is no list."
        ) from None
    if length != wanted:
        raise RayServeException(
            "Batched function doesn't preserve batch size. The input list has length "
            f"{wanted} but the returned list has length {length}."
        )


class Batcher:
    """A decorated function, its options, and its queues: one for each event loop that uses it."""

    def __init__(
        self,
        function: Callable[..., Any],
        max_batch_size: int,
        batch_wait_timeout_s: float,
        max_concurrent_batches: int,
        batch_size_fn: Optional[Callable[[list[Any]], Any]],
    ) -> None:
        self._set(function, max_batch_size, batch_wait_timeout_s, max_concurrent_batches, batch_size_fn)

    def _set(self, *state: Any) -> None:
        self._state = state
        self.function, self.max_batch_size, self.batch_wait_timeout_s = state[:3]
        self.max_concurrent_batches, self._size_fn = state[3:]
        # Where the code was loaded, outside any request: the variables that batches see.
        self._variables = contextvars.copy_context()
        self._queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Queue]
        self._queues = weakref.WeakKeyDictionary()

    # Shipped without queues. The function may not be whole yet when it arrives, so that what
    # follows from it is found out at first use.

    def __getstate__(self) -> tuple[Any, ...]:
        options = (self.max_batch_size, self.batch_wait_timeout_s, self.max_concurrent_batches)
        return (self.function, *options, self._size_fn)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._set(*state)

    @functools.cached_property
    def is_generator(self) -> bool:
        """True when callers get streams."""
        return inspect.isasyncgenfunction(self.function)

    @functools.cached_property
    def name(self) -> str:
        """Of the function."""
        return str(self.function.__name__)

    @functools.cached_property
    def _methods(self) -> Methods:
        return Methods(self.function)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @functools.cached_property
    def _plain_counts(self) -> range:
        return _positional_counts(self._signature)

    # ---- settings that change while it runs ----

    def set_max_batch_size(self, new_max_batch_size: int) -> None:
        """From the next batch on."""
        self.max_batch_size = _batch_size(new_max_batch_size)
        self._warn_if_never_full()

    def set_batch_wait_timeout_s(self, new_batch_wait_timeout_s: float) -> None:
        """From the next batch on."""
        self.batch_wait_timeout_s = _wait_timeout(new_batch_wait_timeout_s)

    def _warn_if_never_full(self) -> None:
        replica = current_replica()
        limit = replica.max_ongoing_requests if replica else None
        wanted = self.max_batch_size * self.max_concurrent_batches
        if limit is not None and limit < wanted and self._size_fn is None:
            logger.warning(
                "'%s': max_ongoing_requests (%s) is less than max_batch_size (%s) * "
                "max_concurrent_batches (%s): its batches will not get full. Raise "
                "max_ongoing_requests to at least %s.",
                self.function.__qualname__,
                limit,
                self.max_batch_size,
                self.max_concurrent_batches,
                wanted,
            )

    # ---- requests ----

    def submit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sink:
        """Queues a call. TypeError for arguments that the function does not take."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = Queue(self)
            self._warn_if_never_full()
        on_object = self._methods.called_on(args)
        if kwargs or len(args) not in self._plain_counts:
            bound = self._signature.bind(*args, **kwargs)
            args, kwargs = bound.args, bound.kwargs
        owner = args[0] if on_object else None
        sink: Sink = Stream() if self.is_generator else loop.create_future()
        queue.put(Request(owner, args[1:] if on_object else args, kwargs, sink))
        return sink

    def size_of(self, batch: list[Request], request: Request) -> Any:
        """By the user's measure, or the number of requests."""
        if self._size_fn is None:
            return len(batch) + 1
        return self._size_fn([_first_argument(member) for member in (*batch, request)])

    def work(self, requests: list[Request], context: Optional[RequestContext]) -> asyncio.Task[None]:
        """Calls the function once for all of the requests."""
        variables = self._variables.copy()
        variables.run(request_context.set, context)
        variables.run(local_replica.set, local_replica.get())
        loop = asyncio.get_running_loop()
        return variables.run(loop.create_task, self._serve(requests))

    async def _serve(self, requests: list[Request]) -> None:
        try:
            args, kwargs = self._arguments(requests)
            if self.is_generator:
                await self._iterate(requests, self.function(*args, **kwargs))
                return
            results = await self.function(*args, **kwargs)
            _check_length(results, len(requests))
            for request, result in zip(requests, results):
                if not request.sink.done():
                    request.sink.set_result(result)  # type: ignore[union-attr]
        except GeneratorExit:  # the event loop is gone, and with it everybody who waits
            raise
        except BaseException as error:  # SystemExit too: it is the callers', as without batching
            for request in requests:
                request.fail(error)

    def _arguments(self, requests: list[Request]) -> tuple[list[Any], dict[str, Any]]:
        columns = _columns(requests)
        if columns is None:
            columns = _columns([self._with_defaults(request) for request in requests])
        if columns is None:
            raise TypeError("All requests of a batch must give the same parameters.")
        owner = requests[0].owner
        return ([] if owner is None else [owner]) + columns[0], columns[1]

    def _with_defaults(self, request: Request) -> Request:
        owner = () if request.owner is None else (request.owner,)
        bound = self._signature.bind(*owner, *request.args, **request.kwargs)
        bound.apply_defaults()
        return Request(request.owner, bound.args[len(owner) :], bound.kwargs, request.sink)

    async def _iterate(self, requests: list[Request], generator: Any) -> None:
        streams = [request.sink for request in requests if isinstance(request.sink, Stream)]
        try:
            async for results in generator:
                _check_length(results, len(requests))
                for stream, result in zip(streams, results):
                    _give(stream, result)
                if all(map(Stream.done, streams)) and any(stream.left for stream in streams):
                    break  # for whom?
        finally:
            await generator.aclose()
        for stream in streams:
            if not stream.ended:
                stream.end()


def _first_argument(request: Request) -> Any:
    return request.args[0] if request.args else next(iter(request.kwargs.values()), None)


def _give(stream: Stream, result: Any) -> None:
    """A caller's share of what a generator yielded; the class StopIteration ends its stream."""
    if stream.done():
        return
    if result is StopIteration or result is StopAsyncIteration:
        stream.end()
    else:
        stream.push(result)


def _decorated(batcher: Batcher) -> Any:
    wrapper: Any
    if batcher.is_generator:
        # Queued when it is called, not when it is first iterated over.
        @functools.wraps(batcher.function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return batcher.submit(args, kwargs).items()  # type: ignore[union-attr]

        wrapper.returns_async_generator = True  # says to the replica what inspect cannot see
    else:

        @functools.wraps(batcher.function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await batcher.submit(args, kwargs)  # type: ignore[misc]

    wrapper.set_max_batch_size = batcher.set_max_batch_size
    wrapper.set_batch_wait_timeout_s = batcher.set_batch_wait_timeout_s
    return wrapper


def batch(
    _func: Optional[Callable[..., Any]] = None,
    /,
    max_batch_size: int = 10,
    batch_wait_timeout_s: float = 0.01,
    max_concurrent_batches: int = 1,
    batch_size_fn: Optional[Callable[[list[Any]], Any]] = None,
) -> Any:
    """Gathers calls of an ``async def`` function or method, or async generator, into batches.

    Callers pass and get single values; the function gets a list for each parameter, and returns
    (or yields) lists of that length. A batch leaves when its size is ``max_batch_size`` - counted,
    or as ``batch_size_fn`` of the list of first arguments says - or ``batch_wait_timeout_s`` after
    its first member. At most ``max_concurrent_batches`` run at once. The decorated function has
    ``set_max_batch_size`` and ``set_batch_wait_timeout_s``.

    TypeError or ValueError for options out of range and for functions that are not async.
    """
    options = (
        _batch_size(max_batch_size),
        _wait_timeout(batch_wait_timeout_s),
        _concurrent_batches(max_concurrent_batches),
        _size_function(batch_size_fn),
    )

    def decorate(function: Callable[..., Any]) -> Any:
        if not callable(function):
            raise TypeError("@serve.batch can only be used to decorate functions or methods.")
        if not inspect.iscoroutinefunction(function) and not inspect.isasyncgenfunction(function):
            raise TypeError("Functions decorated with @serve.batch must be 'async def'")
        return _decorated(Batcher(function, *options))

    return decorate if _func is None else decorate(_func)
