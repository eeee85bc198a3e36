"""A gRPC call on the replica's side: messages parsed and serialized, metadata, the status at its end.

The body of both directions is gRPC's own: five bytes before each message. A reply has two kinds of
frames more, for the metadata before and after its messages (docs/design/grpc.md).
"""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any, Callable, Optional

from penstock import _core, _grpc
from penstock._replica.body import signal, whole_body
from penstock.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RequestCancelledError,
)
from penstock.serve.grpc_util import Metadata, RayServegRPCContext, gRPCInputStream, status_number

__all__ = ["GrpcSession"]

_PREFIX = struct.Struct(">BI")
_PLAIN, _COMPRESSED, _TRAILERS, _INITIAL = 0, 1, 0x80, 0x81
_MOST_MESSAGE = 1 << 30
_OK, _CANCELLED, _DEADLINE, _EXHAUSTED, _INTERNAL, _UNAVAILABLE = 0, 1, 4, 8, 13, 14

# By grpc.Compression; None is what it stands for when nothing was set.
_ENCODINGS = {1: "deflate", 2: "gzip"}
_TRANSPORT = frozenset({"host", "content-type", "te", "content-length"})

# Trailers have a limit in most clients; Ray Serve cuts here too.
_MOST_DETAILS = 4096
_CUT = "... [truncated]"


class GrpcSession:
    """One call."""

    def __init__(self, call: _core.ReplicaCall) -> None:
        self._call = call
        self._encoding = ""
        self._accepted: frozenset[str] = frozenset()
        self._reply_encoding: Optional[str] = None  # of the reply; "" is none, None not decided
        self.context = RayServegRPCContext([], "", "")
        self._parse: Optional[Callable[[bytes], Any]] = None

    def begin(self) -> None:
        """Reads the head. ValueError for metadata that cannot be read, ImportError when the types cannot be had."""
        target, servicer, client = self._call.grpc()
        self.context = RayServegRPCContext(self._read_metadata(), _peer(client), self._call.context()[1])
        self._parse = _grpc.rpcs_of(servicer)[target].parse

    def _read_metadata(self) -> Metadata:
        metadata: Metadata = []
        for name, value in self._call.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            if key == "grpc-encoding" and text != "identity":
                self._encoding = text
            elif key == "grpc-accept-encoding":
                self._accepted = frozenset(part.strip() for part in text.split(","))
            elif key.endswith("-bin"):
                metadata += [(key, _from_base64(part)) for part in text.split(",")]
            elif key not in _TRANSPORT and not key.startswith("grpc-"):
                metadata.append((key, text))
        return metadata

    # ---- the request ----

    async def message(self) -> Any:
        """The one message of a unary request."""
        body = await whole_body(self._call)
        if self._call.cancelled:  # there is no more of it
            raise asyncio.CancelledError
        flag, size = _PREFIX.unpack_from(body)
        return self._parsed(flag, body[_PREFIX.size : _PREFIX.size + size])

    def stream(self) -> gRPCInputStream[Any]:
        """The messages as they come."""
        cancelled = asyncio.Event()
        return gRPCInputStream(self._messages(cancelled), cancel_event=cancelled)

    async def _messages(self, cancelled: asyncio.Event) -> AsyncIterator[Any]:
        call = self._call
        received = bytearray()
        while True:
            end = _PREFIX.size
            if len(received) >= end:
                flag, size = _PREFIX.unpack_from(received)
                end += size
            if _PREFIX.size <= end <= len(received):
                message = bytes(received[_PREFIX.size : end])
                del received[:end]
                yield self._parsed(flag, message)
                continue
            piece = call.take_body()
            if piece:
                received += piece
            elif call.cancelled:
                cancelled.set()
                return
            elif call.body_ended:
                return
            else:
                await signal(call.set_on_body)

    def _parsed(self, flag: int, message: bytes) -> Any:
        if flag == _COMPRESSED:
            message = _core.decompress(self._encoding, message, _MOST_MESSAGE)
        return message if self._parse is None else self._parse(message)

    # ---- the reply ----

    def frame(self, result: Any) -> bytes:
        """A message of the reply, with what goes before the first. Any thread, one at a time."""
        head = b""
        if self._reply_encoding is None:
            wanted = _ENCODINGS.get(self.context._compression, "")
            self._reply_encoding = wanted if wanted in self._accepted else ""
            if self._reply_encoding:
                head = _metadata_frame(_INITIAL, _OK, [("grpc-encoding", self._reply_encoding)])
        message = result if isinstance(result, bytes) else result.SerializeToString()
        if not self._reply_encoding:
            return head + _PREFIX.pack(_PLAIN, len(message)) + message
        message = _core.compress(self._reply_encoding, message)
        return head + _PREFIX.pack(_COMPRESSED, len(message)) + message

    def reply(self, result: Any) -> None:
        """Ends a unary reply. A status that is not OK goes without its message."""
        code = self._code(_OK)
        message = self.frame(result) if code == _OK else b""
        self._call.reply_result(message + self._trailers(code, self.context.details()), False)

    def end(self) -> None:
        """Ends a stream of replies."""
        self._end(self._code(_OK), self.context.details())

    def fail(self, error: BaseException) -> None:
        """Ends the call with what was raised."""
        code = self._code(_code_of(error)) or _INTERNAL
        self._end(code, _shortened(self.context.details() or _words(error)))

    def _code(self, default: int) -> int:
        code = self.context.code()
        return default if code is None else status_number(code)

    def _end(self, code: int, details: str) -> None:
        call = self._call
        trailers = self._trailers(code, details)
        if call.cancelled:
            call.finish()
        elif call.replied:
            call.send(trailers, True)
        else:
            call.reply_result(trailers, False)

    def _trailers(self, code: int, details: str) -> bytes:
        # The request's id is the proxy's to send: it does so also when there is no replica.
        return _metadata_frame(_TRAILERS, code, [("grpc-message", details), *self.context._trailing_metadata])


def _metadata_frame(kind: int, code: int, metadata: Metadata) -> bytes:
    pairs = [
        (key.encode(), base64.b64encode(v).rstrip(b"=") if isinstance(v, bytes) else v.encode(errors="replace"))
        for key, v in metadata
    ]
    content = _core.encode_metadata(code, pairs)
    return _PREFIX.pack(kind, len(content)) + content


def _from_base64(text: str) -> bytes:
    """Padded or not, as clients send it. ValueError for what is neither."""
    return base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), validate=True)


def _peer(client: str) -> str:
    """An address as gRPC writes it."""
    host, _, port = client.rpartition(":")
    host = host[len("::ffff:") :] if host.startswith("::ffff:") else host
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def _code_of(error: BaseException) -> int:
    if isinstance(error, BackPressureError):
        return _EXHAUSTED
    if isinstance(error, DeploymentUnavailableError):
        return _UNAVAILABLE
    if isinstance(error, RequestCancelledError):
        return _CANCELLED
    return _DEADLINE if isinstance(error, (TimeoutError, asyncio.TimeoutError)) else _INTERNAL


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_DETAILS else text[: _MOST_DETAILS - len(_CUT)] + _CUT
