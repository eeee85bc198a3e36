"""From a bound application to running deployments, inside this process."""

from __future__ import annotations

import io
from typing import Any

import cloudpickle

from penstock._local.deployment import LocalDeployment
from penstock._local.handle import LocalHandle
from penstock.serve.deployment import Application

__all__ = ["build"]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Puts the handle in the place of each bound application, wherever it is."""

    def __init__(self, graph: _Graph, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self._graph = graph
        self.found = False

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Application):
            self.found = True
            return self._graph.handle(obj).__reduce__()
        return super().reducer_override(obj)


class _Graph:
    """The deployments of one application; one that is bound twice is there once."""

    def __init__(self, app_name: str) -> None:
        self._app_name = app_name
        self._by_id: dict[int, LocalHandle] = {}
        self.handles: dict[str, LocalHandle] = {}

    def handle(self, app: Application) -> LocalHandle:
        """The handle of a bound deployment; makes it, and first those that it is bound to."""
        known = self._by_id.get(id(app))
        if known is not None:
            return known
        deployment = app._bound_deployment
        args = tuple(map(self._resolved, deployment.init_args))
        kwargs = {name: self._resolved(arg) for name, arg in deployment.init_kwargs.items()}
        name, number = deployment.name, 0
        while name in self.handles:
            number += 1
            name = f"{deployment.name}_{number}"
        handle = LocalHandle(LocalDeployment(deployment, name, self._app_name, args, kwargs))
        self._by_id[id(app)] = self.handles[name] = handle
        return handle

    def _resolved(self, argument: Any) -> Any:
        """A copy with handles where it has applications; else the very object, a mock perhaps."""
        if isinstance(argument, Application):
            return self.handle(argument)
        buffer = io.BytesIO()
        pickler = _Pickler(self, buffer)
        try:
            pickler.dump(argument)
        except Exception:
            if pickler.found:
                raise
            return argument
        return cloudpickle.loads(buffer.getvalue()) if pickler.found else argument


def build(target: Application, app_name: str) -> tuple[str, dict[str, LocalHandle]]:
    """Runs an application: the name of its ingress, and a handle for each deployment.

    Raises what a constructor raises.
    """
    graph = _Graph(app_name)
    ingress = graph.handle(target)
    return ingress.deployment_name, graph.handles
