"""Objects of web frameworks that do not pickle by themselves, although they could.

A FastAPI or Starlette application is part of a deployment's code and travels with it.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["reduce_foreign"]

_LOCKS = {type(threading.Lock()): threading.Lock, type(threading.RLock()): threading.RLock}


def _restored(cls: type, state: dict[str, Any], locks: dict[str, Any]) -> Any:
    found: Any = object.__new__(cls)
    for name, value in state.items():
        object.__setattr__(found, name, value)
    for name, make in locks.items():
        object.__setattr__(found, name, make())
    return found


def _state_of(values: dict[str, Any]) -> Any:
    from starlette.datastructures import State

    return State(values)


def reduce_foreign(value: Any) -> Any:
    """How to pickle such an object, in the form of ``__reduce__``; NotImplemented for any other."""
    cls = type(value)
    module = cls.__module__
    if module == "starlette.datastructures" and cls.__name__ == "State":
        return _state_of, (value.__dict__["_state"],)  # its __getattr__ knows no __setstate__
    if module.startswith("fastapi.") and hasattr(value, "__dict__"):
        state = value.__dict__
        locks = {name: _LOCKS[type(held)] for name, held in state.items() if type(held) in _LOCKS}
        if locks:
            rest = {name: held for name, held in state.items() if name not in locks}
            return _restored, (cls, rest, locks)
    return NotImplemented
