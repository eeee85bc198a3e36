"""Waiting for what is to become true, and for calls that are under way."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any, Callable, TypeVar

__all__ = ["in_background", "wait_until"]

T = TypeVar("T")

_PERIOD_S = 0.02


def wait_until(check: Callable[[], T], what: str, timeout_s: float = 30) -> T:
    """Asks until ``check()`` is true; returns what it said. AssertionError at the end."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}; last seen: {value!r}"
        time.sleep(_PERIOD_S)


def in_background(function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Calls the function on a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
