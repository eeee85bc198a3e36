"""FastAPI routes that are methods: their ``self`` is the replica's instance.

A route made in a class body sees ``self`` as one more query parameter. Here it is made again with
a ``self`` that FastAPI injects. No annotations as strings in this file: FastAPI reads them.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import HTTPConnection

from penstock._replica.asgi import SERVABLE

__all__ = ["bind_methods", "forget_other_classes", "whole_app"]


_OWNER = "_penstock_owner"  # on a route's function: the class it is a method of


async def _servable(connection: HTTPConnection) -> Any:
    return connection.scope[SERVABLE]


def whole_app(app: Any) -> Any:
    """The application itself, or one around a router."""
    if not isinstance(app, APIRouter):
        return app
    whole = FastAPI()
    whole.include_router(app)
    return whole


def _routers(router: Any) -> Iterator[Any]:
    """A router and those that newer FastAPI includes by reference."""
    yield router
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _routers(inner)


def bind_methods(app: Any, cls: type) -> None:
    """Makes every route whose function is a method of ``cls`` anew, in its place."""
    methods = {id(value) for base in cls.__mro__ for value in vars(base).values() if inspect.isfunction(value)}
    for router in _routers(app.router):
        for index, route in enumerate(router.routes):
            endpoint = getattr(route, "endpoint", None)
            if id(endpoint) not in methods or getattr(endpoint, _OWNER, None) is not None:
                continue
            _inject_self(endpoint)
            setattr(endpoint, _OWNER, cls)
            router.routes[index] = _made_again(route)
        changed = getattr(router, "_mark_routes_changed", None)
        if changed is not None:
            changed()


def _inject_self(function: Any) -> None:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    injected = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters]
    injected[0] = injected[0].replace(default=Depends(_servable))
    function.__signature__ = signature.replace(parameters=injected)


def _made_again(route: Any) -> Any:
    """A route like this one, by the constructor's own parameters: it looks at the function anew."""
    names = [n for n in inspect.signature(type(route).__init__).parameters if n != "self"]
    return type(route)(**{n: getattr(route, n) for n in names if hasattr(route, n)})


def forget_other_classes(app: Any, cls: type) -> None:
    """Drops routes that are methods of a class which this replica does not serve."""
    for router in _routers(app.router):
        router.routes[:] = [r for r in router.routes if _is_for(getattr(r, "endpoint", None), cls)]


def _is_for(endpoint: Any, cls: type) -> bool:
    owner = getattr(endpoint, _OWNER, None)
    return owner is None or issubclass(cls, owner)
