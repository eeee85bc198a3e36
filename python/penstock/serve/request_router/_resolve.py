"""From ``request_router_config`` to the class that it names."""

from __future__ import annotations

from typing import Any, Optional

from penstock import _core
from penstock._code_host import import_path
from penstock.serve.config import to_json

__all__ = ["custom_class"]


def custom_class(config: Any) -> Optional[type]:
    """The class of the user's that a ``request_router_config`` names; None for Serve's own.

    ModuleNotFoundError when it cannot be imported, TypeError when it is no request router,
    ValueError for options that are wrong.
    """
    if config is None or not _core.is_custom_router(to_json(config)):
        return None
    value = config["request_router_class"] if isinstance(config, dict) else config.request_router_class
    router = import_path(value, "request_router_class") if isinstance(value, str) else value
    if not isinstance(router, type) or not callable(getattr(router, "choose_replicas", None)):
        raise TypeError(f"request_router_class must be a class with `choose_replicas`, got {router!r}.")
    return router
