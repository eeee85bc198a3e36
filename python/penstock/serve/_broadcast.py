"""One call to every replica of a deployment."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Optional

from penstock.serve.exceptions import DeploymentUnavailableError
from penstock.serve.handle import DeploymentHandle, DeploymentResponse, _call_soon

__all__ = ["DeploymentBroadcastResponse"]


class DeploymentBroadcastResponse:
    """The results of a call to every replica: ``results()``, or ``await results_async()``."""

    def __init__(
        self,
        handle: DeploymentHandle,
        method_name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._handle = handle
        options = replace(handle._options, method_name=method_name, stream=False)
        self._call: Callable[[str], DeploymentResponse] = lambda replica: handle._with(
            replace(options, replica=replica)
        ).remote(*args, **kwargs)
        self._responses: list[DeploymentResponse] = []
        self._error: Optional[BaseException] = None
        self._started = threading.Event()
        # The calls belong to the request that this code works on, wherever they are started.
        variables = contextvars.copy_context()
        handle._when_known(lambda: variables.run(self._start))

    def _start(self) -> None:
        try:
            self._responses = [self._call(replica) for replica, _ in self._handle._replicas()]
            if not self._responses:
                self._error = DeploymentUnavailableError(self._handle.deployment_id)
        except BaseException as error:  # arguments that cannot be sent
            self._error = error
        self._started.set()

    def results(self, timeout_s: Optional[float] = None, return_exceptions: bool = False) -> list[Any]:
        """One result per replica, in no particular order; raises the first exception there is.

        With ``return_exceptions`` these are among the results. TimeoutError when not all are there
        after ``timeout_s``, RuntimeError inside asyncio, DeploymentUnavailableError when there is
        no replica.
        """
        deadline = _deadline(timeout_s)
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "Sync methods should not be called from within an `asyncio` event loop. Use "
                "`await response.results_async()` instead."
            )
        if not self._started.wait(timeout_s):
            raise TimeoutError(f"No replica was known within {timeout_s} s.")
        if self._error is not None:
            raise self._error
        results: list[Any] = []
        for response in self._responses:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not response._wait_blocking(left):
                raise TimeoutError(f"Not every replica answered within {timeout_s} s.")
            results.append(response._exception() if return_exceptions else None)
            if results[-1] is None:
                results[-1] = response._take()
        return results

    async def results_async(self, timeout_s: Optional[float] = None, return_exceptions: bool = False) -> list[Any]:
        """As ``results``, inside asyncio."""
        _deadline(timeout_s)
        try:
            return await asyncio.wait_for(self._gather(return_exceptions), timeout_s)
        except asyncio.TimeoutError:  # which was not TimeoutError once
            raise TimeoutError(f"Not every replica answered within {timeout_s} s.") from None

    async def _gather(self, return_exceptions: bool) -> list[Any]:
        if not self._started.is_set():
            loop = asyncio.get_running_loop()
            known: asyncio.Future[None] = loop.create_future()

            def resolve() -> None:
                if not known.done():
                    known.set_result(None)

            # After `_start`, which asked first.
            self._handle._when_known(lambda: _call_soon(loop, resolve))
            await known
        if self._error is not None:
            raise self._error
        gathered = await asyncio.gather(
            *(response._get() for response in self._responses), return_exceptions=return_exceptions
        )
        return list(gathered)

    def cancel(self) -> None:
        """Tells every replica that nobody waits any more."""
        for response in self._responses:
            response.cancel()


def _deadline(timeout_s: Optional[float]) -> Optional[float]:
    if timeout_s is None:
        return None
    if timeout_s < 0:
        raise ValueError(f"timeout_s must not be negative, got {timeout_s}.")
    return time.monotonic() + timeout_s
