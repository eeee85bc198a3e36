"""How a method of user code is to be called, found out once."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any, Callable

from penstock.serve.exceptions import RayServeException

__all__ = ["Method", "find_method"]


@dataclass(frozen=True)
class Method:
    """A bound method or function, and its kind."""

    name: str
    function: Callable[..., Any]
    is_async: bool  # a coroutine function
    is_generator: bool  # a generator function, of either kind
    is_async_generator: bool
    takes_request: bool  # has at least one parameter: over HTTP it gets the request
    takes_grpc_context: bool  # has a parameter of that name

    @property
    def on_loop(self) -> bool:
        """True when it runs on the event loop; the rest runs on threads."""
        return self.is_async or self.is_async_generator


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    method: Any = getattr(function, "__call__", function)  # noqa: B004 - its method is wanted
    return method  # type: ignore[no-any-return]


def _describe(name: str, function: Callable[..., Any]) -> Method:
    inner = _unwrapped(function)
    try:
        parameters = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a builtin does not say
        parameters = ["request"]
    # A batched generator is a plain function that returns one.
    is_async_generator = inspect.isasyncgenfunction(inner) or getattr(inner, "returns_async_generator", False)
    return Method(
        name=name,
        function=function,
        is_async=inspect.iscoroutinefunction(inner),
        is_generator=is_async_generator or inspect.isgeneratorfunction(inner),
        is_async_generator=is_async_generator,
        takes_request=bool(parameters),
        takes_grpc_context="grpc_context" in parameters,
    )


def find_method(servable: Any, name: str) -> Method:
    """The method ``name`` of a class deployment, or the function itself for a function deployment.

    RayServeException naming the methods there are.
    """
    if inspect.isfunction(servable) or inspect.isbuiltin(servable):
        if name == "__call__":
            return _describe(name, servable)
        available = ["__call__"]
    else:
        function = getattr(servable, name, None)
        if callable(function):
            return _describe(name, function)
        available = [n for n in dir(servable) if not n.startswith("_") or n == "__call__"]
        available = [n for n in available if callable(getattr(servable, n, None))]
    raise RayServeException(f"Tried to call a method '{name}' that does not exist. Available methods: {available}.")
