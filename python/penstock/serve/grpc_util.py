"""What user code gets of a gRPC call: its context, and the stream of its requests.

grpcio is the user's: status codes and kinds of compression are its own, and nothing here imports it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any, Generic, Optional, TypeVar, Union

__all__ = ["RayServegRPCContext", "gRPCInputStream"]

_T = TypeVar("_T")

Metadata = list[tuple[str, Union[str, bytes]]]

_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")


class gRPCInputStream(Generic[_T]):
    """The requests of a client-streaming or bidirectional call, one after another: ``async for``."""

    def __init__(self, request_iterator: AsyncIterator[_T], *, cancel_event: Optional[asyncio.Event] = None) -> None:
        self._requests = request_iterator
        self._cancelled = cancel_event or asyncio.Event()
        self._exhausted = False

    def __aiter__(self) -> gRPCInputStream[_T]:
        return self

    async def __anext__(self) -> _T:
        if self._exhausted or self._cancelled.is_set():
            self._exhausted = True
            raise StopAsyncIteration
        try:
            return await self._requests.__anext__()
        except StopAsyncIteration:
            self._exhausted = True
            raise

    def is_cancelled(self) -> bool:
        """True when the client has gone, or ``cancel`` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """No further request is taken."""
        self._cancelled.set()

    @property
    def is_exhausted(self) -> bool:
        """True when every request has been taken."""
        return self._exhausted


class RayServegRPCContext:
    """A gRPC call as user code sees it: a parameter ``grpc_context`` of its method."""

    def __init__(self, invocation_metadata: Metadata, peer: str, request_id: str) -> None:
        self._invocation_metadata = invocation_metadata
        self._peer = peer
        self._request_id = request_id
        self._code: Any = None
        self._details = ""
        self._compression: Any = None
        self._trailing_metadata: Metadata = []

    # ---- the request ----

    def invocation_metadata(self) -> Metadata:
        """What the client sent; values of ``-bin`` keys are bytes."""
        return self._invocation_metadata

    def _first(self, key: str) -> Any:
        return next((value for name, value in self._invocation_metadata if name == key), None)

    def request_id(self) -> Optional[str]:
        """The client's id for the request."""
        return self._first("request_id")  # type: ignore[no-any-return]

    def application(self) -> Optional[str]:
        """The application that the client named."""
        return self._first("application")  # type: ignore[no-any-return]

    def multiplexed_model_id(self) -> Optional[str]:
        """The model that the client named."""
        return self._first("multiplexed_model_id")  # type: ignore[no-any-return]

    def traceparent(self) -> Optional[str]:
        """Of the client's trace."""
        return self._first("traceparent")  # type: ignore[no-any-return]

    def tracestate(self) -> Optional[str]:
        """Of the client's trace."""
        return self._first("tracestate")  # type: ignore[no-any-return]

    def peer(self) -> str:
        """The client's address: ``ipv4:127.0.0.1:50000``."""
        return self._peer

    def peer_identities(self) -> Optional[Iterable[bytes]]:
        """None: clients are not authenticated."""
        return None

    def peer_identity_key(self) -> Optional[str]:
        """None: clients are not authenticated."""
        return None

    def auth_context(self) -> dict[str, Any]:
        """Empty: clients are not authenticated."""
        return {}

    # ---- the reply ----

    def code(self) -> Any:
        """As set, or None."""
        return self._code

    def set_code(self, code: Any) -> None:
        """The ``grpc.StatusCode`` that the call ends with. ValueError for what is none."""
        status_number(code)
        self._code = code

    def details(self) -> str:
        """As set, or ''."""
        return self._details

    def set_details(self, details: str) -> None:
        """The words that go with the code. ValueError for what is no text."""
        if not isinstance(details, str):
            raise ValueError(f"the details of a gRPC status should be a string, got {details!r}")
        self._details = details

    def set_compression(self, compression: Any) -> None:
        """The ``grpc.Compression`` of the messages that follow, if the client takes it."""
        self._compression = compression

    def trailing_metadata(self) -> Metadata:
        """What the client gets at the end, the request's id first."""
        return [("request_id", self._request_id), *self._trailing_metadata]

    def set_trailing_metadata(self, trailing_metadata: Iterable[tuple[str, Union[str, bytes]]]) -> None:
        """What the client gets at the end beside the request's id. ValueError naming what HTTP/2 cannot carry."""
        metadata = [(key, value) for key, value in trailing_metadata]
        for key, value in metadata:
            _check_metadata(key, value)
        self._trailing_metadata = metadata


def status_number(code: Any) -> int:
    """The number of a ``grpc.StatusCode``."""
    value = getattr(code, "value", code)
    number = value[0] if isinstance(value, tuple) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 16:
        raise ValueError(f"a gRPC status should be a grpc.StatusCode, got {code!r}")
    return number


def _check_metadata(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key.startswith("grpc-"):
        raise ValueError(
            f"trailing metadata: a key should be of lower-case letters, digits, '_', '-' and '.', "
            f"and not begin with 'grpc-', got {key!r}"
        )
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise ValueError(f"trailing metadata: the value of '{key}' should be bytes, got {value!r}")
    elif not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ValueError(f"trailing metadata: the value of '{key}' should be printable ASCII, got {value!r}")
