"""Handles: calling a deployment's methods from anywhere."""

from __future__ import annotations

import asyncio
import functools
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional

from penstock import _core, _process, _wire
from penstock._errors import ActorDiedError
from penstock._objects import ObjectRef
from penstock.serve.context import (
    DeploymentID,
    ReplicaID,
    RequestContext,
    current_replica,
    request_context,
)
from penstock.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
    RequestCancelledError,
)

__all__ = [
    "DeploymentBroadcastResponse",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "ReplicaSelection",
]

# _core.Call.outcome()
_PENDING, _RESULT, _RAISED, _FAILED, _CANCELLED = range(5)
# First element of _core.Call.failure()
_BACKPRESSURE, _UNAVAILABLE, _DIED, _SHUTDOWN, _GONE, _ROUTER_FAILED = range(6)


class _HandleState:
    """What a handle shares with those made of it."""

    def __init__(self) -> None:
        self.initialized = False

    @functools.cached_property
    def handle_id(self) -> str:
        return uuid.uuid4().hex[:8]


@dataclass(frozen=True)
class _HandleOptions:
    method_name: str = "__call__"
    multiplexed_model_id: str = ""
    session_id: str = ""
    stream: bool = False
    near: bool = False  # prefers replicas of its own node
    replica: str = ""  # for this one alone
    by_reference: bool = True
    request_serialization: str = "cloudpickle"
    response_serialization: str = "cloudpickle"


_OPTION_TYPES = {
    "method_name": str,
    "multiplexed_model_id": str,
    "session_id": str,
    "stream": bool,
    "_prefer_local_routing": bool,
    "_by_reference": bool,
    "request_serialization": str,
    "response_serialization": str,
}


def _check_options(given: dict[str, Any]) -> None:
    for name, kind in _OPTION_TYPES.items():
        value = given[name]
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{name} must be of type {kind.__name__}, got {value!r}.")


_SERIALIZATIONS = ("cloudpickle", "pickle", "msgpack", "orjson", "noop")


def _check_serializations(options: _HandleOptions) -> None:
    """As in Ray Serve they matter to calls by value alone; here everything is pickled."""
    for name in ("request_serialization", "response_serialization"):
        value = getattr(options, name).lower()
        if value not in _SERIALIZATIONS:
            raise ValueError(f"{name} must be one of {', '.join(_SERIALIZATIONS)}, got '{value}'.")
        if not options.by_reference and value not in ("cloudpickle", "pickle"):
            raise NotImplementedError(f"{name}='{value}' with _by_reference=False is not here: values are pickled.")


def _unwrapped(argument: Any) -> Any:
    """What a reference stands for: its value, or the call that makes it."""
    if not isinstance(argument, ObjectRef):
        return argument
    return argument.resolve() if argument.response is None else argument.response


def _failure(call: _core.Call, where: DeploymentID) -> BaseException:
    kind, message, queued, limit, status_code, retry_after_s = call.failure()
    if kind == _BACKPRESSURE:
        return BackPressureError(queued, limit, status_code, retry_after_s)
    if kind == _UNAVAILABLE:
        return DeploymentUnavailableError(where)
    if kind == _DIED:
        return ActorDiedError(message)
    if kind == _GONE:
        return ReplicaUnavailableError(ReplicaID(call.replica(), where))
    return RayServeException(message)


class _Response:
    """What a call and a stream of items have in common: start, wait, cancel."""

    # Of each response its own, once it is set.
    _call: Optional[_core.Call] = None  # None: an argument is still being computed
    _error: Optional[BaseException] = None  # failed before it could start
    _begun = False
    _later: Optional[threading.Event] = None  # set when it begins, if it begins later
    _was_cancelled = False
    _with_request = False

    def __init__(self, where: DeploymentID, request_id: str) -> None:
        self._where = where
        self._request_id = request_id
        self._lock = threading.Lock()
        self._waiters: list[Callable[[], None]] = []

    @property
    def request_id(self) -> str:
        """The id that logs and headers carry."""
        return self._request_id

    def _begin(self, call: Optional[_core.Call], error: Optional[BaseException] = None) -> None:
        with self._lock:
            self._call, self._error = call, error
            self._begun = True
            cancelled = self._was_cancelled
        if self._later is not None:
            self._later.set()
        if call is None:
            self._wake()
            return
        call.set_callback(self._wake)
        if cancelled:
            call.cancel()

    def _wake(self) -> None:
        with self._lock:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()

    def _ready(self) -> bool:
        """True when there is an outcome or an item to take."""
        raise NotImplementedError

    def _add_waiter(self, waiter: Callable[[], None]) -> None:
        """Calls ``waiter()`` once there is something to take; at once if there is."""
        with self._lock:
            self._waiters.append(waiter)
        if self._ready():
            self._wake()

    def _wait_blocking(self, timeout_s: Optional[float]) -> bool:
        if self._later is not None and not self._later.wait(timeout_s):
            return False
        return self._call is None or self._call.wait(-1 if timeout_s is None else timeout_s)

    async def _wait_async(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def resolve() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            if _process.loop().on_thread() and asyncio._get_running_loop() is loop:
                resolve()
            else:
                _call_soon(loop, resolve)

        self._add_waiter(wake)
        await future

    def _outcome(self) -> int:
        if self._call is not None:
            return self._call.outcome()
        return _RAISED if self._error is not None else _PENDING

    def _exception(self, in_task: bool = False) -> Optional[BaseException]:
        """Why there is no result, once there is an outcome."""
        if self._error is not None:
            return self._error
        assert self._call is not None
        outcome = self._call.outcome()
        if outcome == _RAISED:
            return _wire.load_error(self._call.payload())
        if outcome == _FAILED:
            return _failure(self._call, self._where)
        if outcome == _CANCELLED:
            # Its request's end may come to a task as this call's end before the task itself is
            # cancelled: the same to code that waits here.
            ended = in_task and self._with_request
            return asyncio.CancelledError() if ended else RequestCancelledError(self._request_id)
        return None

    def cancel(self) -> None:
        """Tells the replica that nobody waits any more. Harmless when it is done."""
        with self._lock:
            self._was_cancelled = True
            call = self._call
        if call is not None:
            call.cancel()

    def cancel_with_request(self) -> None:
        """As ``cancel``, because nobody waits for the request on whose behalf it was made."""
        self._with_request = True
        self.cancel()

    def cancelled(self) -> bool:
        """True once ``cancel`` was called before there was a result."""
        return self._was_cancelled and self._outcome() in (_PENDING, _CANCELLED)


def _call_soon(loop: asyncio.AbstractEventLoop, task: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(task)
    except RuntimeError:
        if not loop.is_closed():  # closed: whoever waited there waits no more
            raise


def _refuse_inside_loop() -> None:
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "Sync methods should not be called from within an `asyncio` event loop. Use `await response` instead."
        )


class DeploymentResponse(_Response):
    """The result of a call that may still be under way: ``await`` it, or ``.result()`` outside asyncio.

    Passed as a top-level argument to another call it is resolved first, without blocking anybody.
    """

    def _ready(self) -> bool:
        return self._begun and self._outcome() != _PENDING

    def result(self, timeout_s: Optional[float] = None, *, _skip_asyncio_check: bool = False) -> Any:
        """Waits for the result; raises what the method raised. TimeoutError after ``timeout_s``."""
        if not _skip_asyncio_check:
            _refuse_inside_loop()
        if not self._wait_blocking(timeout_s):
            raise TimeoutError(f"Request {self._request_id} was not done within {timeout_s} s.")
        return self._take()

    def _take(self, in_task: bool = False) -> Any:
        error = self._exception(in_task)
        if error is not None:
            raise error
        assert self._call is not None
        return _wire.load(self._call.payload())

    def _to_object_ref_sync(self) -> ObjectRef:
        return ObjectRef(response=self)

    async def _to_object_ref(self) -> ObjectRef:
        return ObjectRef(response=self)

    async def _get(self) -> Any:
        if not self._ready():
            try:
                await self._wait_async()
            except asyncio.CancelledError:
                self.cancel()  # nobody else knows of this call
                raise
        return self._take(in_task=True)

    def __await__(self) -> Any:
        return self._get().__await__()

    def __reduce__(self) -> Any:
        raise RayServeException(
            "`DeploymentResponse` is not serializable. Pass it as a top-level argument to another "
            "handle call, or await it and pass the result."
        )


class DeploymentResponseGenerator(_Response):
    """The items of a streaming call: ``async for``, or ``for`` outside asyncio."""

    def _ready(self) -> bool:
        return self._begun

    def _pop(self, in_task: bool = False) -> tuple[bool, Any]:
        """(True, item), or (False, None) when none has arrived yet; raises at the end."""
        if self._call is None:
            assert self._error is not None
            raise self._error
        # The outcome first: items that came before it are still to be taken.
        outcome = self._call.outcome()
        item = self._call.pop_item()
        if item is not None:
            return True, _wire.load(item)
        if outcome == _PENDING:
            return False, None
        error = self._exception(in_task)
        if error is not None:
            raise error
        raise StopIteration

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        _refuse_inside_loop()
        while True:
            self._wait_blocking(None)
            found, item = self._pop()
            if found:
                return item

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            if self._begun:
                try:
                    found, item = self._pop(in_task=True)
                except StopIteration:
                    raise StopAsyncIteration from None
                if found:
                    return item
            try:
                await self._wait_item()
            except asyncio.CancelledError:
                self.cancel()
                raise

    async def _wait_item(self) -> None:
        """Waits for the native call to have something: set anew for each item."""
        if not self._begun:
            await self._wait_async()
            return
        assert self._call is not None
        with self._lock:
            self._waiters.clear()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def resolve() -> None:
            if not future.done():
                future.set_result(None)

        self._call.set_callback(lambda: _call_soon(loop, resolve))
        await future

    def result(self, *args: Any, **kwargs: Any) -> Any:
        """Not for streams."""
        raise TypeError("`DeploymentResponseGenerator` doesn't support `.result()`. Iterate over it instead.")

    def __await__(self) -> Any:
        raise TypeError("`DeploymentResponseGenerator` cannot be awaited. Use `async for` instead.")

    def __reduce__(self) -> Any:
        raise RayServeException("`DeploymentResponseGenerator` is not serializable.")


class DeploymentHandle:
    """A stub for a deployment: ``handle.method.remote(...)``. Picklable."""

    # What a call returns, and a streaming one.
    _kinds: tuple[type[_Response], type[_Response]] = (DeploymentResponse, DeploymentResponseGenerator)

    def __init__(
        self,
        deployment_name: str,
        app_name: str,
        *,
        _options: Optional[_HandleOptions] = None,
        _state: Optional[_HandleState] = None,
    ) -> None:
        self._deployment_name = deployment_name
        self._app_name = app_name
        self._deployment_id = DeploymentID(deployment_name, app_name)
        self._options = _options or _HandleOptions()
        self._state = _state or _HandleState()

    @property
    def deployment_name(self) -> str:
        """Name of the deployment."""
        return self._deployment_name

    @property
    def app_name(self) -> str:
        """Name of its application."""
        return self._app_name

    @property
    def deployment_id(self) -> DeploymentID:
        """Both names."""
        return self._deployment_id

    @property
    def handle_id(self) -> str:
        """Tells this handle, and those made of it with ``options``, from others."""
        return self._state.handle_id

    @property
    def is_initialized(self) -> bool:
        """True once ``options``, ``remote`` or ``_init`` was called."""
        return self._state.initialized

    def _init(
        self,
        *,
        _prefer_local_routing: bool = False,
        _source: Optional[Any] = None,
        _run_router_in_separate_loop: bool = True,
    ) -> None:
        """Options of the handle's router. RuntimeError once the handle was used.

        A script's router has a loop of its own, a replica's shares the replica's, whatever is asked for.
        """
        if self._state.initialized:
            raise RuntimeError(
                "Handle has already been initialized. Note that a handle is initialized by its first use."
            )
        self._options = replace(self._options, near=_prefer_local_routing)
        self._state.initialized = True

    def running_replicas_populated(self) -> bool:
        """True once replicas of the deployment are known here."""
        return bool(self._replicas())

    def _replicas(self) -> list[tuple[str, str]]:
        """Each replica that is known here, and its node."""
        return _process.router().replicas(self._app_name, self._deployment_name)

    def _when_known(self, then: Callable[[], None]) -> None:
        """Calls ``then()``, on whatever thread, once the deployment's replicas are known."""
        _process.router().when_known(self._app_name, self._deployment_name, then)

    def broadcast(self, method_name: str, *args: Any, **kwargs: Any) -> DeploymentBroadcastResponse:
        """Calls a method of every replica there is now, even of those that are full."""
        return DeploymentBroadcastResponse(self, method_name, args, kwargs)

    def choose_replica(
        self, *args: Any, _reserve: bool = True, **kwargs: Any
    ) -> AbstractAsyncContextManager[ReplicaSelection]:
        """``async with``: a replica, and a slot of it for one ``dispatch`` inside the block.

        The arguments are those of the call to come, for a router of the deployment that looks at
        them. Without ``_reserve`` no slot is held, and there is nothing to dispatch to.
        """
        return choose_replica(self, _reserve, args, kwargs)

    def dispatch(self, selection: ReplicaSelection, *args: Any, **kwargs: Any) -> Any:
        """Calls this handle's method, with its options, in the slot that ``choose_replica`` held.

        ValueError for another deployment's selection, RuntimeError for one without a slot or
        dispatched before, ReplicaUnavailableError when the replica is gone.
        """
        return dispatch(self, selection, args, kwargs)

    def options(
        self,
        *,
        method_name: Optional[str] = None,
        multiplexed_model_id: Optional[str] = None,
        session_id: Optional[str] = None,
        stream: Optional[bool] = None,
        _prefer_local_routing: Optional[bool] = None,
        _by_reference: Optional[bool] = None,
        request_serialization: Optional[str] = None,
        response_serialization: Optional[str] = None,
    ) -> DeploymentHandle:
        """A handle that differs in these; the router is shared.

        TypeError for a value of another type, ValueError for a serialization that is none. Large
        arguments go by value, whatever ``_by_reference`` says: there is no object store.
        """
        _check_options(locals())
        changes: dict[str, Any] = {
            "method_name": method_name,
            "multiplexed_model_id": multiplexed_model_id,
            "session_id": session_id,
            "stream": stream,
            "near": _prefer_local_routing,
            "by_reference": _by_reference,
            "request_serialization": request_serialization,
            "response_serialization": response_serialization,
        }
        changed = replace(self._options, **{k: v for k, v in changes.items() if v is not None})
        _check_serializations(changed)
        self._state.initialized = True
        return self._with(changed)

    def _with(self, options: _HandleOptions) -> DeploymentHandle:
        return DeploymentHandle(self._deployment_name, self._app_name, _options=options, _state=self._state)

    def shutdown(self) -> None:
        """Nothing to do: the router is this process's, and its other handles use it."""

    async def shutdown_async(self) -> None:
        """As ``shutdown``."""

    def __getattr__(self, name: str) -> DeploymentHandle:
        if name.startswith("__") and name != "__call__":
            raise AttributeError(name)  # not a method: something Python looks for
        return self.options(method_name=name)

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the method; returns at once with a DeploymentResponse (a generator when streaming)."""
        self._state.initialized = True
        context = request_context.get()
        request_id = context.request_id if context and context.request_id else str(uuid.uuid4())
        response = self._kinds[self._options.stream](self._deployment_id, request_id)
        if context is not None:
            context.add_child(response)
        if not args and not kwargs:
            self._start(response, context, args, kwargs)
            return response
        args = tuple(map(_unwrapped, args))
        kwargs = {k: _unwrapped(v) for k, v in kwargs.items()}
        pending = [a for a in (*args, *kwargs.values()) if isinstance(a, _Response)]
        if not pending:
            self._start(response, context, args, kwargs)
        else:
            self._start_after(pending, response, context, args, kwargs)
        return response

    def _start(
        self,
        response: _Response,
        context: Optional[RequestContext],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        options = self._options
        call = (_process.router_on_node() if options.near else _process.router()).start(
            self._app_name,
            self._deployment_name,
            options.method_name,
            response.request_id,
            context.route if context else "",
            options.multiplexed_model_id,
            options.session_id,
            options.stream,
            _wire.dump_call(args, kwargs),
            options.replica,
            options.near,
        )
        response._begin(call)

    def _start_after(
        self,
        pending: list[_Response],
        response: _Response,
        context: Optional[RequestContext],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        if any(isinstance(p, DeploymentResponseGenerator) for p in pending):
            raise RuntimeError("Streaming deployment handle results cannot be passed to downstream handle calls.")
        response._later = threading.Event()
        left = len(pending)
        lock = threading.Lock()

        def one_is_done() -> None:
            nonlocal left
            with lock:
                left -= 1
                if left > 0:
                    return
            try:
                resolved = tuple(a._take() if isinstance(a, DeploymentResponse) else a for a in args)
                named = {k: v._take() if isinstance(v, DeploymentResponse) else v for k, v in kwargs.items()}
            except BaseException as error:  # the upstream's failure is this call's
                response._begin(None, error)
                return
            self._start(response, context, resolved, named)

        for upstream in pending:
            upstream._add_waiter(one_is_done)

    def __reduce__(self) -> Any:
        return _rebuild, (self._deployment_name, self._app_name, self._options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeploymentHandle) and self.__reduce__()[1] == other.__reduce__()[1]

    def __hash__(self) -> int:
        return hash(self.__reduce__()[1])

    def __repr__(self) -> str:
        return f"DeploymentHandle(deployment='{self._deployment_name}')"


def _rebuild(deployment_name: str, app_name: str, options: _HandleOptions) -> DeploymentHandle:
    return DeploymentHandle(deployment_name, app_name, _options=options)


def default_app_name() -> Optional[str]:
    """The application of the replica this code runs in, or None."""
    replica = current_replica()
    return replica.app_name if replica else None


# These call handles, and handles make them.
from penstock.serve._broadcast import DeploymentBroadcastResponse  # noqa: E402
from penstock.serve._selection import ReplicaSelection, choose_replica, dispatch  # noqa: E402
