"""Handles in local testing mode: they call straight into the deployment."""

from __future__ import annotations

from typing import Any, Callable, Optional

from penstock import _wire
from penstock._local.call import LocalCall
from penstock._local.deployment import LocalDeployment, find
from penstock._objects import ObjectRef
from penstock.serve.context import RequestContext
from penstock.serve.handle import (
    DeploymentHandle,
    DeploymentResponse,
    DeploymentResponseGenerator,
    _HandleOptions,
    _HandleState,
    _Response,
)

__all__ = ["LocalHandle"]


class LocalResponse(DeploymentResponse):
    """A response that is no object reference: there is nothing to refer to."""

    def _to_object_ref_sync(self) -> ObjectRef:
        raise RuntimeError("Object references are not supported in local testing mode.")

    async def _to_object_ref(self) -> ObjectRef:
        return self._to_object_ref_sync()


class LocalHandle(DeploymentHandle):
    """As a handle of an instance, for a deployment in this process."""

    _kinds = (LocalResponse, DeploymentResponseGenerator)

    def __init__(
        self,
        deployment: LocalDeployment,
        *,
        _options: Optional[_HandleOptions] = None,
        _state: Optional[_HandleState] = None,
    ) -> None:
        super().__init__(deployment.name, deployment.app_name, _options=_options, _state=_state)
        self._deployment = deployment

    def _with(self, options: _HandleOptions) -> LocalHandle:
        return LocalHandle(self._deployment, _options=options, _state=self._state)

    def _replicas(self) -> list[tuple[str, str]]:
        return [(self._deployment.replica_id, "")]

    def _when_known(self, then: Callable[[], None]) -> None:
        then()

    def choose_replica(self, *args: Any, **kwargs: Any) -> Any:
        """Not here: there is nothing to choose from."""
        raise NotImplementedError("choose_replica is not supported in local testing mode.")

    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        """Not here: see ``choose_replica``."""
        raise NotImplementedError("dispatch is not supported in local testing mode.")

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the method; returns at once. RuntimeError for object references."""
        if any(isinstance(a, ObjectRef) for a in (*args, *kwargs.values())):
            raise RuntimeError("Object references are not supported in local testing mode.")
        return super().remote(*args, **kwargs)

    def _start(
        self,
        response: _Response,
        context: Optional[RequestContext],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        options = self._options
        route = context.route if context else ""
        call = LocalCall(
            self._deployment,
            options.method_name,
            _wire.dump_call(args, kwargs),
            options.stream,
            (response.request_id, route, options.multiplexed_model_id, options.session_id),
        )
        response._begin(call)  # type: ignore[arg-type]
        self._deployment.start(call)

    def __reduce__(self) -> Any:
        return _rebuild, (self._deployment.replica_id, self._options)


def _rebuild(replica_id: str, options: _HandleOptions) -> LocalHandle:
    return LocalHandle(find(replica_id), _options=options)
