"""Arguments, results and exceptions as bytes between a caller and a replica.

The first byte says what follows: ``P`` a pickle (cloudpickle, protocol 5); ``B`` a pickle and the
large buffers of what is in it, numpy arrays for instance, which are used where they arrive:
read-only, as in Ray; ``E`` an error text in UTF-8 from code that is not Python.

``B``: u32 number of buffers; for the pickle and then each buffer u64 place, from the first byte of
the message, and u64 size; the pickle; the buffers. Places are multiples of 64.
"""

from __future__ import annotations

import io
import pickle
import struct
import traceback
from typing import Any

import cloudpickle

from penstock._errors import RayTaskError

__all__ = ["dump", "dump_error", "load", "load_error"]

_PICKLE = b"P"
_WITH_BUFFERS = b"B"
_COUNT = struct.Struct("<I")
_SPAN = struct.Struct("<QQ")  # place, size
_ALIGNMENT = 64
# Smaller buffers are pickled like the rest, in bytes.
_LARGE_BUFFER = 32 << 10
_NO_ARGUMENTS = _PICKLE + pickle.dumps(((), {}), protocol=5)
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
# Containers up to this length are looked into before the slower pickler is taken.
_LOOK_INTO = 16


def _is_plain(value: Any) -> bool:
    """True when the C pickler gives the same result: nothing in it needs to go by value."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind in (tuple, list) and len(value) <= _LOOK_INTO:
        return all(type(item) in _PLAIN for item in value)
    if kind is dict and len(value) <= _LOOK_INTO:
        return all(type(k) in _PLAIN and type(v) in _PLAIN for k, v in value.items())
    return False


def dump(value: Any) -> bytes:
    """Any picklable value; functions and classes of ``__main__`` go by value."""
    if _is_plain(value):
        return _PICKLE + pickle.dumps(value, protocol=5)
    return _dump_any(value)


def dump_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The arguments of a call."""
    if not args and not kwargs:
        return _NO_ARGUMENTS
    if all(map(_is_plain, args)) and all(map(_is_plain, kwargs.values())):
        return _PICKLE + pickle.dumps((args, kwargs), protocol=5)
    return _dump_any((args, kwargs))


def _dump_any(value: Any) -> bytes:
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LARGE_BUFFER:
            return True
        buffers.append(raw)
        return False

    out = io.BytesIO()
    out.write(_PICKLE)
    cloudpickle.Pickler(out, protocol=5, buffer_callback=keep_in_band).dump(value)
    if not buffers:
        return out.getvalue()
    return _join([out.getbuffer()[1:], *buffers])


def _join(parts: list[memoryview]) -> bytes:
    """The ``B`` message of a pickle and its buffers: the one copy that is made of them."""
    place = len(_WITH_BUFFERS) + _COUNT.size + len(parts) * _SPAN.size
    head = [_WITH_BUFFERS, _COUNT.pack(len(parts) - 1)]
    body: list[Any] = []
    for part in parts:
        padding = -place % _ALIGNMENT
        place += padding
        head.append(_SPAN.pack(place, part.nbytes))
        body += [bytes(padding), part]
        place += part.nbytes
    return b"".join(head + body)


def _load_with_buffers(data: memoryview) -> Any:
    start = len(_WITH_BUFFERS)
    (count,) = _COUNT.unpack_from(data, start)
    spans = [_SPAN.unpack_from(data, start + _COUNT.size + i * _SPAN.size) for i in range(count + 1)]
    pickled, *buffers = [data[place : place + size] for place, size in spans]
    return pickle.loads(pickled, buffers=buffers)


def load(data: bytes) -> Any:
    """Inverse of ``dump`` and ``dump_call``. RuntimeError with the text when code that is not Python failed."""
    if data == _NO_ARGUMENTS:
        return (), {}
    kind = data[:1]
    if kind == _PICKLE:
        return pickle.loads(memoryview(data)[1:])
    if kind == _WITH_BUFFERS:
        return _load_with_buffers(memoryview(data))
    raise RuntimeError(data[1:].decode(errors="replace"))


def dump_error(error: BaseException, function_name: str) -> bytes:
    """An exception with its traceback. One that cannot be pickled is told in words."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        return _PICKLE + bytes(cloudpickle.dumps((function_name, text, error), protocol=5))
    except Exception as why:  # user code may define __reduce__ as it likes
        words = RuntimeError(
            f"Exception {type(error).__module__}.{type(error).__name__} isn't serializable: {why}.\n"
            f"Original exception details:\n{text}"
        )
        return _PICKLE + bytes(cloudpickle.dumps((function_name, text, words), protocol=5))


def load_error(data: bytes) -> BaseException:
    """The exception to raise at the caller: of the original type, with the remote traceback."""
    try:
        function_name, text, error = load(data)
    except RuntimeError as told:
        return told
    except Exception as why:  # the class is not importable here, or its __init__ refuses
        return RuntimeError(f"the replica raised an exception that cannot be read here: {why!r}")
    return RayTaskError(function_name, text, error).as_instanceof_cause()
