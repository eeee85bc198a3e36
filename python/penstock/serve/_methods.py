"""Which object a decorated function is called on: a decorator sees functions, not yet methods."""

from __future__ import annotations

from typing import Any, Callable

__all__ = ["Methods"]


def _is(attribute: Any, function: Callable[..., Any]) -> bool:
    """True when the attribute is the function, below whatever decorators."""
    while attribute is not None:
        if attribute is function:
            return True
        attribute = getattr(attribute, "__wrapped__", None)
    return False


def _attributes(kind: type) -> list[Any]:
    return [attribute for base in kind.__mro__ for attribute in vars(base).values()]


class Methods:
    """The classes that have the function as a method; asked with each call, so it remembers."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._instances: dict[type, bool] = {}
        self._classes: dict[type, bool] = {}

    def called_on(self, args: tuple[Any, ...]) -> bool:
        """True when the first argument is the object, or class, whose method was called."""
        if not args:
            return False
        first = args[0]
        kind = type(first)
        known = self._instances.get(kind)
        if known is None:
            known = self._instances[kind] = any(
                not isinstance(attribute, (staticmethod, classmethod)) and _is(attribute, self._function)
                for base in kind.__mro__
                for attribute in list(vars(base).values())
            )
        return known or (isinstance(first, type) and self._is_class_method(first))

    def _is_class_method(self, kind: type) -> bool:
        known = self._classes.get(kind)
        if known is None:
            known = self._classes[kind] = any(
                _is(attribute.__func__, self._function)
                for attribute in _attributes(kind)
                if isinstance(attribute, classmethod)
            )
        return known
