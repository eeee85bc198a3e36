"""``@serve.ingress``: a class that answers HTTP through an ASGI application."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional

__all__ = ["IngressApp", "ingress", "ingress_of"]

_ATTRIBUTE = "_penstock_ingress"


class IngressApp:
    """What a class was given: an ASGI application, or what makes one on the replica."""

    def __init__(self, app: Any) -> None:
        self.app = app

    @property
    def docs_path(self) -> str:
        """Where FastAPI shows its documentation; "" when it does not, or is not made yet."""
        return str(getattr(self.app, "docs_url", None) or "")

    async def make(self, servable: Any) -> Any:
        """The application, on the replica. TypeError when what should make it does not."""
        app = self.app
        if app is None:
            app = servable.__serve_build_asgi_app__()
            if inspect.isawaitable(app):
                app = await app
        elif _is_builder(app):
            app = app()
        if not callable(app):
            raise TypeError(f"An ASGI application must be callable, got {app!r}.")
        if hasattr(app, "add_exception_handler"):
            from penstock._replica.asgi import add_exception_handlers

            add_exception_handlers(app)
        if _is_fastapi(app):
            from penstock.serve._fastapi import forget_other_classes

            forget_other_classes(app, type(servable))
        return app


def _is_builder(app: Any) -> bool:
    """True for a function without parameters: an ASGI application takes three."""
    if not inspect.isfunction(app):
        return False
    return not any(p.default is p.empty for p in inspect.signature(app).parameters.values())


def _is_fastapi(app: Any) -> bool:
    return type(app).__module__.startswith("fastapi.") or any(
        base.__module__.startswith("fastapi.") for base in type(app).__mro__
    )


def ingress_of(func_or_class: Any) -> Optional[IngressApp]:
    """What ``@serve.ingress`` left on a class; None for anything else."""
    found = getattr(func_or_class, _ATTRIBUTE, None) if inspect.isclass(func_or_class) else None
    return found if isinstance(found, IngressApp) else None


def ingress(app: Any = None) -> Callable[..., Any]:
    """Serves an ASGI application from a class.

    ``app``: an ASGI application (FastAPI's routes may be methods of the class), an APIRouter, a
    function without parameters that makes the application on the replica, or nothing when the
    class defines ``__serve_build_asgi_app__``. ValueError for what is no class, for one that
    defines ``__call__``, and when there is no application. Applied to nothing it makes a class.
    """
    if _is_fastapi(app):
        from penstock.serve._fastapi import whole_app

        app = whole_app(app)

    def decorate(cls: Optional[type] = None) -> type:
        if cls is None:
            cls = type("ASGIIngress", (), {"__module__": "__main__", "__doc__": "An ASGI application, served."})
        if not inspect.isclass(cls):
            raise ValueError("@serve.ingress must be used with a class.")
        if any("__call__" in vars(base) for base in cls.__mro__[:-1]):
            raise ValueError("Class passed to @serve.ingress may not have __call__ method.")
        if app is None and not hasattr(cls, "__serve_build_asgi_app__"):
            raise ValueError("@serve.ingress() without an app needs a class that defines __serve_build_asgi_app__.")
        if _is_fastapi(app):
            from penstock.serve._fastapi import bind_methods

            bind_methods(app, cls)
        setattr(cls, _ATTRIBUTE, IngressApp(app))
        return cls

    return decorate
