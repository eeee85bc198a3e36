"""Choosing a replica first and calling it later, in a slot that was held for it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Optional

from penstock import _core, _process, _wire
from penstock.serve.context import ReplicaID, RequestContext, request_context
from penstock.serve.exceptions import ReplicaUnavailableError
from penstock.serve.handle import DeploymentHandle, DeploymentResponse, _call_soon, _Response, _unwrapped

__all__ = ["ReplicaSelection", "choose_replica", "dispatch"]


class ReplicaSelection:
    """A replica that ``choose_replica`` found, and the slot that it holds."""

    def __init__(self, handle: DeploymentHandle, call: _core.Call, reserved: bool) -> None:
        self._handle = handle
        self._call = call
        self._reserved = reserved
        self._dispatched = False
        #: Unique id of the replica.
        self.replica_id: str = call.replica()
        #: Where it runs.
        self.node_id: str = dict(handle._replicas()).get(self.replica_id, "")
        self.node_ip = "127.0.0.1"  # replicas are reached through files of this machine
        self.port: Optional[int] = None
        self.availability_zone: Optional[str] = None

    @property
    def address(self) -> str:
        """``host:port``, or the host alone without a port."""
        return f"{self.node_ip}:{self.port}" if self.port else self.node_ip

    def to_dict(self) -> dict[str, Any]:
        """What it says, as plain values."""
        names = ("replica_id", "node_ip", "port", "node_id", "availability_zone")
        return {name: getattr(self, name) for name in names}


class _Dispatch(DeploymentHandle):
    """A handle whose call goes into the slot of a selection."""

    def __init__(self, handle: DeploymentHandle, selection: ReplicaSelection) -> None:
        super().__init__(handle.deployment_name, handle.app_name, _options=handle._options)
        self._selection = selection

    def _start(
        self,
        response: _Response,
        context: Optional[RequestContext],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        call = self._selection._call
        options = self._options
        call.dispatch(
            self.app_name,
            self.deployment_name,
            options.method_name,
            response.request_id,
            context.route if context else "",
            options.multiplexed_model_id,
            options.session_id,
            options.stream,
            _wire.dump_call(args, kwargs),
        )
        response._begin(call)


async def _value(argument: Any) -> Any:
    argument = _unwrapped(argument)
    return await argument if isinstance(argument, DeploymentResponse) else argument


async def _reserve(
    handle: DeploymentHandle,
    request_id: str,
    context: Optional[RequestContext],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """A call that holds a slot; raises why there is none."""
    options = handle._options
    handle._state.initialized = True
    looked_at = [await _value(a) for a in args], {k: await _value(v) for k, v in kwargs.items()}
    call = (_process.router_on_node() if options.near else _process.router()).reserve(
        handle.app_name,
        handle.deployment_name,
        options.method_name,
        request_id,
        context.route if context else "",
        options.multiplexed_model_id,
        options.session_id,
        options.stream,
        _wire.dump_call(tuple(looked_at[0]), looked_at[1]),
        options.near,
    )
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[None] = loop.create_future()

    def resolve() -> None:
        if not settled.done():
            settled.set_result(None)

    call.set_callback(lambda: _call_soon(loop, resolve))
    try:
        await settled
    except asyncio.CancelledError:
        call.cancel()
        raise
    if not call.reserved():
        response = DeploymentResponse(handle.deployment_id, request_id)
        response._begin(call)
        response._take()  # raises
    return call


@asynccontextmanager
async def choose_replica(
    handle: DeploymentHandle, reserve: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncIterator[ReplicaSelection]:
    """See ``DeploymentHandle.choose_replica``. What was not dispatched is given back at the end."""
    context = request_context.get()
    request_id = context.request_id if context and context.request_id else str(uuid.uuid4())
    call = await _reserve(handle, request_id, context, args, kwargs)
    selection = ReplicaSelection(handle, call, reserve)
    if not reserve:
        call.cancel()
    try:
        yield selection
    finally:
        if call.reserved():
            call.cancel()


def dispatch(
    handle: DeploymentHandle, selection: ReplicaSelection, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """See ``DeploymentHandle.dispatch``."""
    if selection._handle.deployment_id != handle.deployment_id:
        raise ValueError(f"The selection is one of {selection._handle.deployment_id}, not of {handle.deployment_id}.")
    if not selection._reserved:
        raise RuntimeError("A replica chosen with `_reserve=False` has no slot to dispatch to.")
    if selection._dispatched:
        raise RuntimeError(f"The selection of replica '{selection.replica_id}' has been dispatched already.")
    selection._dispatched = True
    if not selection._call.reserved():
        raise ReplicaUnavailableError(ReplicaID(selection.replica_id, handle.deployment_id))
    return _Dispatch(handle, selection).remote(*args, **kwargs)
