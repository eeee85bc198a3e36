"""The request as user code sees it: a Starlette Request whose parts are made when asked for."""

from __future__ import annotations

from typing import Any, Callable, Generic, TypeVar

from starlette.requests import Request

from penstock import _core
from penstock._replica.body import Receive, whole_body
from penstock._replica.scope import make_scope

__all__ = ["LazyRequest"]

_T = TypeVar("_T")


class _Lazy(Generic[_T]):
    """An attribute made from the call when it is first read."""

    def __init__(self, make: Callable[[_core.ReplicaCall], _T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: Any = None) -> _T:
        value = self._make(request._call)
        request.__dict__[self._name] = value
        return value


async def _no_send(message: Any) -> None:
    raise RuntimeError("This request cannot send: return a response instead.")


class LazyRequest(Request):
    """A request of which nothing but its call is known until user code looks."""

    scope: Any = _Lazy(make_scope)
    _receive: Any = _Lazy(Receive)
    _send = staticmethod(_no_send)
    _stream_consumed = False
    _is_disconnected = False
    _form = None

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call  # and no more: super().__init__ would want the scope

    async def body(self) -> bytes:
        """The whole body."""
        if "_body" not in self.__dict__ and not self._stream_consumed:
            self._stream_consumed = True
            self._body = await whole_body(self._call)
        return await super().body()

    async def is_disconnected(self) -> bool:
        """True when nobody waits for the answer any more."""
        return bool(self._call.cancelled)
