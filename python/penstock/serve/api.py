"""Ray Serve's functions: start, run, status, delete, shutdown, handles."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from penstock import _core, _instance, _local
from penstock.serve.config import HTTPOptions, ProxyLocation, gRPCOptions, to_json, to_plain
from penstock.serve.context import DeploymentID, request_context
from penstock.serve.deployment import Application
from penstock.serve.exceptions import RayServeException
from penstock.serve.handle import DeploymentHandle, default_app_name
from penstock.serve.schema import ServeStatus, status_from

__all__ = [
    "RunTarget",
    "_run",
    "_run_many",
    "delete",
    "get_app_handle",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "run",
    "run_many",
    "shutdown",
    "shutdown_async",
    "start",
    "status",
]

logger = logging.getLogger("ray.serve")

# The driver's default runtime environment; ray.init(runtime_env=...) sets it.
default_runtime_env: dict[str, Any] = {}

_PATIENCE_S = 2  # then whoever waits for an application is told what it waits for
_DELETE_TIMEOUT_S = 60
_SHUTDOWN_TIMEOUT_S = 30


@dataclass(frozen=True)
class RunTarget:
    """One application for ``run_many``."""

    target: Application
    name: str = "default"
    route_prefix: Optional[str] = "/"
    logging_config: Optional[Any] = None
    external_scaler_enabled: bool = False


def _not_yet(**given: Any) -> None:
    """NotImplementedError naming the first argument that is set but has no effect yet."""
    for name, value in given.items():
        if value:
            raise NotImplementedError(f"{name} is accepted by Ray Serve but not acted upon here yet.")


def _http_options(options: Union[dict[str, Any], HTTPOptions, None], location: Any) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(options) if options is not None else {}
    plain.setdefault("host", HTTPOptions().host)
    for name in ("ssl_keyfile", "ssl_certfile", "ssl_ca_certs"):
        if plain.get(name) and isinstance(plain[name], (str, os.PathLike)):
            plain[name] = os.path.abspath(plain[name])  # it is read by others, in their folder
    if isinstance(options, HTTPOptions) and options.host is None:
        plain["host"] = None
    chosen = location or plain.pop("location", None)
    if chosen is not None and str(getattr(chosen, "value", chosen)) in ("Disabled", "NoServer"):
        plain["host"] = None
    return plain


def _grpc_options(options: Union[dict[str, Any], gRPCOptions, None]) -> tuple[dict[str, Any], bytes]:
    """Parameters of ``serve.start`` and the methods to serve, which the proxy cannot find out by itself."""
    plain: dict[str, Any] = to_plain(options) if options is not None else {}
    _core.check_grpc_options(to_json(plain))
    servicers = plain.get("grpc_servicer_functions")
    if not servicers or plain.get("port") == 0:
        return {"grpc_options": plain}, b""
    from penstock import _grpc

    directory = _grpc.directory(servicers)
    digest = hashlib.sha256(directory).hexdigest()
    code = [{"sha256": digest, "size": len(directory)}]
    return {"grpc_options": {**plain, "directory": digest}, "code": code}, directory


def start(
    proxy_location: Union[str, ProxyLocation, None] = None,
    http_options: Union[dict[str, Any], HTTPOptions, None] = None,
    grpc_options: Union[dict[str, Any], gRPCOptions, None] = None,
    logging_config: Any = None,
    tracing_config: Any = None,
    controller_options: Any = None,
    **kwargs: Any,
) -> None:
    """Starts Serve: connects to an instance or starts one, and makes its proxy listen.

    A no-op, with a warning, when Serve listens already and the options differ. RuntimeError when
    the address cannot be bound; an instance that this call started is ended again.
    """
    for removed in ("http_host", "http_port", "http_middlewares"):
        if removed in kwargs:
            raise ValueError(f"{removed} is deprecated, please use serve.start(http_options={{...}}) instead.")
    if kwargs:
        raise TypeError(f"start() got an unexpected keyword argument '{next(iter(kwargs))}'")
    _not_yet(tracing_config=tracing_config, controller_options=controller_options)
    options = _http_options(http_options, proxy_location)
    _core.check_http_options(to_json(options))
    grpc, directory = _grpc_options(grpc_options)
    logging_config = _logging_config(logging_config)
    fresh = _instance.current() is None
    instance = _instance.ensure()
    try:
        params = {"http_options": options, "logging_config": logging_config, **grpc}
        answer = _instance.call("serve.start", params, directory)
    except BaseException as error:
        if fresh and instance.embedded:
            _instance.disconnect()
        if isinstance(error, ConnectionError):
            raise RuntimeError(str(error)) from None
        raise
    options_given = {"http_options": http_options, "grpc_options": grpc_options}
    given = " and ".join(name for name, value in options_given.items() if value is not None)
    if answer["options_ignored"] and given:
        logger.warning("Serve is already running; the new %s are not applied.", given)


def _check_target(target: Any, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise RayServeException("Application name must a non-empty string.")
    if not isinstance(target, Application):
        raise TypeError(
            f"`serve.run` expects an `Application` returned by `Deployment.bind()`, got {type(target)} instead."
        )


def _deploy(target: RunTarget) -> None:
    from penstock._build import build  # replicas do without

    instance = _instance.ensure()
    built = build(target.target, target.name, target.route_prefix, default_runtime_env, instance.folder)
    params, code = built.request()
    params["logging_config"] = _logging_config(target.logging_config)
    params["external_scaler_enabled"] = target.external_scaler_enabled
    try:
        _instance.call("serve.deploy", params, code)
    except FileExistsError as error:  # the prefix is another application's
        raise RayServeException(str(error)) from None


def _logging_config(given: Any) -> Any:
    """As plain values, checked; None for none."""
    if given is None:
        return None
    plain = to_plain(given)
    _core.merge_options("{}", to_json({"logging_config": plain}))
    return plain


def _wait_running(name: str) -> None:
    told: set[str] = set()
    while True:
        try:
            _instance.call("serve.wait", {"app": name, "until": "running"}, timeout_s=_PATIENCE_S)
            return
        except KeyError as error:
            raise RuntimeError(str(error.args[0])) from None
        except TimeoutError:
            _tell_what_waits(name, told)


def _tell_what_waits(name: str, told: set[str]) -> None:
    """Says why replicas do not start, each reason once: whoever waits for them should know."""
    application = _instance.call("serve.status")["applications"].get(name, {})
    for deployment, details in application.get("deployments", {}).items():
        for replica in details["replicas"]:
            reason = (replica.get("pending") or {}).get("reason")
            if reason and reason not in told:
                told.add(reason)
                logger.warning("Deployment '%s' of application '%s' waits: %s", deployment, name, reason)


def _check_route_prefix(prefix: Any) -> None:
    if prefix is not None and not isinstance(prefix, str):
        raise TypeError(f"route_prefix must be a string or None, got {type(prefix)}.")


def run_many(
    targets: Sequence[RunTarget],
    blocking: bool = False,
    wait_for_ingress_deployment_creation: bool = True,
    wait_for_applications_running: bool = True,
    _local_testing_mode: bool = False,
    controller_options: Any = None,
) -> list[DeploymentHandle]:
    """Deploys several applications and waits until they run; returns their handles."""
    if not targets:
        raise ValueError("No applications provided.")
    for target in targets:
        _check_target(target.target, target.name)
        _check_route_prefix(target.route_prefix)
    if _local.wanted(_local_testing_mode):
        local_handles: list[DeploymentHandle] = [*_local.run_many(targets)]
        if blocking:
            _block()
        return local_handles
    _not_yet(controller_options=controller_options)
    start()
    for target in targets:
        _local.delete(target.name)
        _deploy(target)
    if wait_for_applications_running:
        for target in targets:
            _wait_running(target.name)
            logger.info("Application '%s' is ready.", target.name)
    handles = [get_app_handle(target.name) for target in targets]
    if blocking:
        _block()
    return handles


def _block() -> None:
    """Sleeps until Ctrl-C, which ends the caller."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        logger.warning("Got KeyboardInterrupt, exiting...")
        raise


def run(
    target: Application,
    blocking: bool = False,
    name: str = "default",
    route_prefix: Optional[str] = "/",
    logging_config: Any = None,
    _local_testing_mode: bool = False,
    external_scaler_enabled: bool = False,
    controller_options: Any = None,
) -> DeploymentHandle:
    """Deploys an application and waits until it runs; returns the handle of its ingress.

    TypeError, ValueError or RayServeException for what cannot be deployed, RuntimeError with the
    reason when the deploy fails.
    """
    run_target = RunTarget(target, name, route_prefix, logging_config, external_scaler_enabled)
    return run_many(
        [run_target],
        blocking=blocking,
        _local_testing_mode=_local_testing_mode,
        controller_options=controller_options,
    )[0]


def _run(target: Application, *, _blocking: bool = True, **kwargs: Any) -> DeploymentHandle:
    """As ``run``; without ``_blocking`` it does not wait until the application runs."""
    name = kwargs.pop("name", "default")
    prefix = kwargs.pop("route_prefix", "/")
    return run_many([RunTarget(target, name, prefix)], wait_for_applications_running=_blocking, **kwargs)[0]


_run_many = run_many


def delete(name: str, _blocking: bool = True) -> None:
    """Deletes an application; one that does not exist is deleted already.

    TimeoutError when it is not gone after a minute.
    """
    if _local.delete(name) or _connected() is None:
        return
    _instance.call("serve.delete", {"app": name})
    if _blocking:
        _instance.call("serve.wait", {"app": name, "until": "gone"}, timeout_s=_DELETE_TIMEOUT_S)


def _connected() -> Optional[_instance.Instance]:
    """The instance, if this process has one or can find one; never starts one."""
    current = _instance.current()
    if current is not None:
        return current
    try:
        return _instance.connect()
    except KeyError:
        return None


def status() -> ServeStatus:
    """What runs. Empty when there is no instance."""
    if _connected() is None:
        return ServeStatus()
    try:
        return status_from(_instance.call("serve.status"))
    except ConnectionError:
        return ServeStatus()


def shutdown() -> None:
    """Deletes every application, then closes the proxy; the instance goes on."""
    _local.delete_all()
    instance = _connected()
    if instance is None:
        logger.info("Nothing to shut down. There's no Serve application running on this Ray cluster.")
        return
    try:
        _instance.call("serve.shutdown", timeout_s=_SHUTDOWN_TIMEOUT_S)
    except TimeoutError:
        logger.warning("Serve did not shut down within %s s.", _SHUTDOWN_TIMEOUT_S)
    except ConnectionError:
        logger.info("The instance is gone already.")


async def shutdown_async() -> None:
    """As ``shutdown``, for use inside asyncio."""
    import asyncio

    await asyncio.get_running_loop().run_in_executor(None, shutdown)


def get_app_handle(name: str) -> DeploymentHandle:
    """The handle of an application's ingress. RayServeException when there is no such application."""
    local = _local.find(name)
    if local is not None:
        return local
    _instance.ensure()
    try:
        app = _instance.call("serve.app", {"app": name})
    except KeyError as error:
        raise RayServeException(str(error.args[0])) from None
    return DeploymentHandle(app["ingress"], name)


def get_deployment_handle(
    deployment_name: str,
    app_name: Optional[str] = None,
    _check_exists: bool = True,
    _record_telemetry: bool = True,
) -> DeploymentHandle:
    """A handle for a deployment of an application (inside a replica: of its own by default).

    KeyError when it does not exist.
    """
    app_name = app_name or default_app_name()
    if app_name is None:
        raise RayServeException(
            "Please specify an application name when getting a deployment handle outside of a Serve application."
        )
    local = _local.find(app_name, deployment_name)
    if local is not None:
        return local
    _instance.ensure()
    if _check_exists:
        missing = KeyError(str(DeploymentID(deployment_name, app_name)) + " does not exist.")
        try:
            app = _instance.call("serve.app", {"app": app_name})
        except KeyError:
            raise missing from None
        if deployment_name not in app["deployments"]:
            raise missing
    return DeploymentHandle(deployment_name, app_name)


def get_multiplexed_model_id() -> str:
    """The model id of the request this code works on, "" when it has none."""
    context = request_context.get()
    return context.multiplexed_model_id if context else ""


def configure_logging() -> None:
    """Sends Serve's own log lines to stderr, unless the program has configured logging itself."""
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(asctime)s serve %(process)d -- %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
