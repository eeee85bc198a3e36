"""An ASGI application inside a replica: its lifespan, its requests."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Optional

from penstock.serve.exceptions import BackPressureError, DeploymentUnavailableError

__all__ = ["SERVABLE", "AsgiApp", "add_exception_handlers"]

SERVABLE = "penstock.servable"  # key of the ASGI scope: the replica's instance


def add_exception_handlers(app: Any) -> None:
    """Calls to other deployments that are refused become the status they stand for."""
    from starlette.responses import PlainTextResponse

    async def on_backpressure(_: Any, error: Any) -> Any:
        headers = {} if error.retry_after_s is None else {"retry-after": str(math.ceil(error.retry_after_s))}
        return PlainTextResponse(error.message, status_code=error.status_code, headers=headers)

    async def on_unavailable(_: Any, error: Any) -> Any:
        return PlainTextResponse(str(error), status_code=503)

    app.add_exception_handler(BackPressureError, on_backpressure)
    app.add_exception_handler(DeploymentUnavailableError, on_unavailable)


class AsgiApp:
    """The application of a replica and the state that its lifespan left."""

    def __init__(self, app: Any, servable: Any) -> None:
        self._app = app
        self._servable = servable
        self._state: dict[str, Any] = {}
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._lifespan: Optional[asyncio.Task[None]] = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope[SERVABLE] = self._servable
        scope["state"] = self._state.copy()
        await self._app(scope, receive, send)

    async def start(self) -> None:
        """Runs the lifespan's first half. RuntimeError when the application says that it failed."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
            SERVABLE: self._servable,
        }
        self._lifespan = asyncio.create_task(self._app(scope, self._to_app.get, self._from_app.put))
        await self._to_app.put({"type": "lifespan.startup"})
        answer = await self._answer()
        if answer is None:
            self._lifespan = None  # it knows of no lifespan
        elif answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"ASGI lifespan startup failed. {answer.get('message', '')}".rstrip())

    async def stop(self) -> None:
        """Runs the lifespan's second half. RuntimeError when the application says that it failed."""
        if self._lifespan is None:
            return
        await self._to_app.put({"type": "lifespan.shutdown"})
        answer = await self._answer()
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            raise RuntimeError(f"ASGI lifespan shutdown failed. {answer.get('message', '')}".rstrip())

    async def _answer(self) -> Optional[dict[str, Any]]:
        """What the application says next, or None when it ended without a word."""
        assert self._lifespan is not None
        said = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({said, self._lifespan}, return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            return said.result()
        said.cancel()
        if not self._lifespan.cancelled():
            self._lifespan.exception()  # it raised because it does not know the scope: no news
        return None
