"""Arguments, results and exceptions as bytes between a caller and a replica.

The first byte says what follows: ``P`` a pickle (cloudpickle, protocol 5), ``E`` an error text in
UTF-8 from code that is not Python.
"""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import cloudpickle

from penstock._errors import RayTaskError

__all__ = ["dump", "dump_error", "load", "load_error"]

_PICKLE = b"P"
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
    return _PICKLE + bytes(cloudpickle.dumps(value, protocol=5))


def dump_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The arguments of a call."""
    if all(map(_is_plain, args)) and all(map(_is_plain, kwargs.values())):
        return _PICKLE + pickle.dumps((args, kwargs), protocol=5)
    return _PICKLE + bytes(cloudpickle.dumps((args, kwargs), protocol=5))


def load(data: bytes) -> Any:
    """Inverse of dump and dump_call. RuntimeError with the text when code that is not Python failed."""
    if data[:1] == _PICKLE:
        return pickle.loads(memoryview(data)[1:])
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
