"""An application graph as the controller takes it: deployments, their options, their code.

Bound applications among constructor arguments become handles, wherever in the arguments they
are: they are replaced while the arguments are pickled, which visits everything.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
import types
from typing import Any, Optional

import cloudpickle

from penstock._foreign import reduce_foreign
from penstock._packages import stage_runtime_env
from penstock.serve.deployment import Application, Deployment
from penstock.serve.exceptions import RayServeException
from penstock.serve.handle import DeploymentHandle
from penstock.serve.ingress import ingress_of

__all__ = ["BuiltApp", "build"]

logger = logging.getLogger("ray.serve")


class BuiltApp:
    """A request for the controller and the code that goes with it."""

    def __init__(self, name: str, route_prefix: Optional[str], runtime_env: dict[str, Any], folder: str) -> None:
        self.name = name
        self.route_prefix = route_prefix
        self.ingress = ""
        self._runtime_env = runtime_env
        self._folder = folder
        self._names: dict[int, str] = {}  # id of an Application -> name of its deployment
        self._kept: list[Application] = []  # so that ids stay taken
        self._deployments: list[dict[str, Any]] = []
        self._with_ingress: list[str] = []  # deployments that serve an ASGI application
        self._docs_path = ""
        self._code: dict[str, bytes] = {}

    def add(self, app: Application) -> str:
        """Adds a bound deployment and those below it; returns its name."""
        known = self._names.get(id(app))
        if known is not None:
            return known
        self._kept.append(app)
        deployment = app._bound_deployment
        code = self._pickle(deployment)
        name = self._free_name(deployment.name)
        self._names[id(app)] = name
        if (ingress := ingress_of(deployment.func_or_class)) is not None:
            self._with_ingress.append(name)
            self._docs_path = ingress.docs_path
        digest = self._keep(code)
        launch = {"kind": "python", "code": digest}
        for key, decider in (
            ("router_code", deployment._deciders.router),
            ("policy_code", deployment._deciders.policy),
        ):
            if decider is not None:
                launch[key] = self._keep(self._dump(decider))
        self._deployments.append({"name": name, "options": self._options(deployment), "launch": launch})
        return name

    def _free_name(self, wanted: str) -> str:
        taken = set(self._names.values())
        name, number = wanted, 0
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        if name != wanted:
            logger.warning("Deployment name '%s' is used twice; one is renamed to '%s'.", wanted, name)
        return name

    def check(self) -> None:
        """RayServeException when more than one deployment serves an ASGI application."""
        if len(self._with_ingress) > 1:
            raise RayServeException(
                f'Found multiple FastAPI deployments in application "{self.name}": {sorted(self._with_ingress)}. '
                "Please only include one deployment with @serve.ingress in your application to avoid this issue."
            )

    def _pickle(self, deployment: Deployment) -> bytes:
        return self._dump((deployment.func_or_class, deployment.init_args, deployment.init_kwargs))

    def _dump(self, value: Any) -> bytes:
        buffer = io.BytesIO()
        _Pickler(self, buffer).dump(value)
        return buffer.getvalue()

    def _keep(self, code: bytes) -> str:
        digest = hashlib.sha256(code).hexdigest()
        self._code[digest] = code
        return digest

    def _options(self, deployment: Deployment) -> dict[str, Any]:
        options = dict(deployment._options)
        actor = dict(options.get("ray_actor_options") or {})
        env = dict(actor.get("runtime_env") or {})
        # Ray Serve's rule: the driver's environment whole, or only its folder.
        default = self._runtime_env
        if not env:
            env = dict(default)
        elif "working_dir" in default:
            env.setdefault("working_dir", default["working_dir"])
        if env:
            actor["runtime_env"] = stage_runtime_env(env, self._folder)
            options["ray_actor_options"] = actor
        return options

    def request(self) -> tuple[dict[str, Any], bytes]:
        """Parameters and bytes of ``serve.deploy``."""
        for deployment in self._deployments:
            deployment["launch"]["is_ingress"] = deployment["name"] == self.ingress
        params = {
            "name": self.name,
            "route_prefix": self.route_prefix,
            "ingress": self.ingress,
            "docs_path": self._docs_path,
            "launch": {"python": sys.executable, "sys_path": _sys_path(), "cwd": os.getcwd()},
            "deployments": self._deployments,
            "code": [{"sha256": digest, "size": len(code)} for digest, code in self._code.items()],
        }
        return params, b"".join(self._code.values())


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, built: BuiltApp, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self._built = built

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Application):
            return DeploymentHandle, (self._built.add(obj), self._built.name)
        if isinstance(obj, types.CodeType):
            return self._reduce_code(obj)
        reduced = reduce_foreign(obj)
        return super().reducer_override(obj) if reduced is NotImplemented else reduced

    def _reduce_code(self, code: types.CodeType) -> Any:
        """As cloudpickle does, but with the file's name: a traceback then shows the line."""
        make, parts = self.dispatch_table[types.CodeType](code)
        return make, tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)


def _sys_path() -> list[str]:
    """Where this process imports from; replicas look there too, after their own places."""
    return [os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path]


def build(
    target: Application, name: str, route_prefix: Optional[str], runtime_env: dict[str, Any], folder: str
) -> BuiltApp:
    """The whole graph below ``target``. TypeError or pickling errors name what cannot be shipped."""
    built = BuiltApp(name, route_prefix, runtime_env, folder)
    built.ingress = built.add(target)
    built.check()
    return built
