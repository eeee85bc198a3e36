"""A call inside this process: both ends of what in an instance are a router and a replica."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from penstock._local.deployment import LocalDeployment

__all__ = ["LocalCall"]

# What _core.Call and _core.ReplicaCall say in numbers.
_PENDING, _RESULT, _RAISED, _FAILED, _CANCELLED = range(5)
_HANDLE_CALL = 2

# Bytes of a stream that nobody has taken yet, as between processes.
_WINDOW = 256 << 10


class CallerSide:
    """What responses and generators use: ``_core.Call`` in Python. Any thread."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._changed = threading.Condition()
        self._outcome = _PENDING
        self._payload = b""
        self._items: deque[bytes] = deque()
        self._callback: Optional[Callable[[], None]] = None

    def outcome(self) -> int:
        """0 pending, 1 result, 2 raised, 4 cancelled."""
        return self._outcome

    def payload(self) -> bytes:
        """The result or the exception."""
        return self._payload

    def replica(self) -> str:
        """The only one."""
        return self._replica

    def wait(self, timeout_s: float) -> bool:
        """Until there is something to take; negative: for ever."""
        with self._changed:
            return self._changed.wait_for(self._ready, None if timeout_s < 0 else timeout_s)

    def set_callback(self, callback: Callable[[], None]) -> None:
        """Calls it whenever there is something to take; at once if there is already."""
        with self._changed:
            if self._outcome == _PENDING:
                self._callback = callback
            ready = self._ready()
        if ready:
            callback()

    def pop_item(self) -> Optional[bytes]:
        """The next item of a stream, or None."""
        with self._changed:
            item = self._items.popleft() if self._items else None
        if item is not None:
            self._taken(len(item))
        return item

    def _ready(self) -> bool:
        return self._outcome != _PENDING or bool(self._items)

    def _taken(self, size: int) -> None:
        """An item of this many bytes was taken."""

    def _put(self, item: bytes) -> None:
        with self._changed:
            self._items.append(item)
        self._tell()

    def _end(self, outcome: int, payload: bytes = b"") -> None:
        with self._changed:
            if self._outcome != _PENDING:
                return
            self._outcome, self._payload = outcome, payload
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            callback = self._callback
            if self._outcome != _PENDING:
                self._callback = None
        if callback is not None:
            callback()


class LocalCall(CallerSide):
    """And what the invoker uses: ``_core.ReplicaCall`` in Python. That only on the loop's thread."""

    def __init__(
        self,
        deployment: LocalDeployment,
        method: str,
        arguments: bytes,
        stream: bool,
        ids: tuple[str, str, str, str],
    ) -> None:
        super().__init__(deployment.replica_id)
        self._deployment = deployment
        self._arguments = arguments
        self._ids = ids  # request, route, model, session
        self.method = method
        self.wants_stream = stream
        self.cancelled = False
        self.replied = False
        self.ended = False
        self._room = _WINDOW
        self._on_writable: Optional[Callable[[], None]] = None

    # ---- the caller's ----

    def cancel(self) -> None:
        """Nobody waits any more. Harmless when it is done."""
        if self.outcome() != _PENDING:
            return
        self._end(_CANCELLED)
        self._deployment.post(self._stop)

    def _taken(self, size: int) -> None:
        self._deployment.post(self._grant, size)

    # ---- the replica's ----

    body_ended = True

    def context(self) -> tuple[int, str, str, str, str]:
        """(kind, request id, route, model id, session id)."""
        return (_HANDLE_CALL, *self._ids)

    def take_body(self) -> bytes:
        """The arguments."""
        arguments, self._arguments = self._arguments, b""
        return arguments

    def note_failure(self, exception_type: str) -> None:
        """Nobody counts here."""

    def reply_result(self, result: bytes, failure: bool) -> None:
        """The end of a call that is no stream."""
        self.replied = True
        self._end(_RAISED if failure else _RESULT, result)
        self.finish()

    def send(self, piece: bytes, end: bool, failure: bool = False) -> None:
        """An item of a stream, its end, or the exception that ended it."""
        self.replied = True
        if not end:
            self._room -= len(piece)
            self._put(piece)
            return
        self._end(_RAISED if failure else _RESULT, piece)
        self.finish()

    @property
    def writable(self) -> bool:
        """False when the caller should take something first."""
        return self._room > 0

    def set_on_writable(self, then: Callable[[], None]) -> None:
        """Calls it when there is room again, and when the call was cancelled."""
        self._on_writable = then

    def set_on_body(self, then: Callable[[], None]) -> None:
        """The arguments are here from the start: nothing to wait for."""

    def finish(self) -> None:
        """The call is over."""
        self.ended = True
        self._on_writable = None

    def _grant(self, size: int) -> None:
        was_writable = self.writable
        self._room += size
        if not was_writable and self.writable:
            self._wake_writer()

    def _stop(self) -> None:
        self.cancelled = True
        self._wake_writer()
        self._deployment.cancel(self)

    def _wake_writer(self) -> None:
        if self._on_writable is not None:
            self._on_writable()

    def failure(self) -> Any:
        """Calls inside a process do not fail on their way."""
        raise AssertionError
