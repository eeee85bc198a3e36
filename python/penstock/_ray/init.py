"""``ray.init`` and ``ray.shutdown``: an instance for this script."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from penstock import __version__, _instance
from penstock._packages import check_runtime_env
from penstock.serve import api
from penstock.serve.context import current_replica

__all__ = ["ClientContext", "init", "is_initialized", "namespace", "shutdown"]

logger = logging.getLogger("ray.serve")

# Private arguments of Ray that scripts pass; they say how Ray's own processes run.
_RAYS_OWN = frozenset(
    {
        "_driver_object_store_memory",
        "_enable_object_reconstruction",
        "_node_ip_address",
        "_node_name",
        "_object_spilling_directory",
        "_plasma_directory",
        "_redis_max_memory",
        "_redis_password",
        "_redis_username",
        "_system_config",
        "_temp_dir",
        "_tracing_startup_hook",
    }
)

_namespace = ""


class ClientContext(Mapping[str, Any]):
    """What ``ray.init`` returns: facts of the instance; as a context manager it ends with the block."""

    def __init__(self, instance: _instance.Instance) -> None:
        self.address_info: dict[str, Any] = {
            "address": instance.address,
            "gcs_address": instance.address,
            "node_ip_address": "127.0.0.1",
            "session_dir": instance.folder,
            "webui_url": "",
        }
        self.dashboard_url = ""
        self.python_version = platform.python_version()
        self.ray_version = f"penstock {__version__}"

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def disconnect(self) -> None:
        """As ``ray.shutdown``."""
        shutdown()

    def __enter__(self) -> ClientContext:
        return self

    def __exit__(self, *_: object) -> None:
        shutdown()


def namespace() -> str:
    """What ``ray.init(namespace=...)`` was given, "" before."""
    return _namespace


def is_initialized() -> bool:
    """True while this process is connected to an instance; always in a replica."""
    return _instance.current() is not None or current_replica() is not None


def _check(name: str, value: Any, kinds: tuple[type, ...], expected: str) -> None:
    if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
        raise TypeError(f"{name} must be {expected}, got {value!r}.")


def _check_amounts(resources: Mapping[str, Any]) -> None:
    for name, amount in resources.items():
        _check(f"resources['{name}']", amount, (int, float), "a number")


def _connect(address: Optional[str], own: dict[str, Any]) -> Optional[_instance.Instance]:
    """The running instance to use, or None when one is to be started."""
    if address == "local":
        return None
    named = address or os.environ.get("PENSTOCK_ADDRESS") or os.environ.get("RAY_ADDRESS")
    try:
        instance = _instance.connect("" if address in (None, "auto") else str(address))
    except KeyError as error:
        if named and named != "auto":
            raise ConnectionError(str(error.args[0])) from None
        if address == "auto":
            raise ConnectionError(
                "Could not find any running Ray instance. Please specify the one to connect to by "
                "setting `--address` flag or `RAY_ADDRESS` environment variable."
            ) from None
        return None
    given = [name for name, value in own.items() if value is not None]
    if given:
        _instance.disconnect()
        what = "num_cpus and num_gpus" if given[0] in ("num_cpus", "num_gpus") else given[0]
        raise ValueError(
            f"When connecting to an existing cluster, {what} must not be provided. "
            f"(An instance runs at {instance.address}; address='local' starts one of your own.)"
        )
    return instance


def init(
    address: Optional[str] = None,
    *,
    num_cpus: Optional[float] = None,
    num_gpus: Optional[float] = None,
    resources: Optional[dict[str, float]] = None,
    labels: Optional[dict[str, str]] = None,
    object_store_memory: Optional[int] = None,
    local_mode: bool = False,
    ignore_reinit_error: bool = False,
    include_dashboard: Optional[bool] = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: Optional[int] = None,
    job_config: Any = None,
    configure_logging: bool = True,
    logging_level: Any = logging.INFO,
    logging_format: Optional[str] = None,
    logging_config: Any = None,
    log_to_driver: Optional[bool] = None,
    namespace: Optional[str] = None,
    runtime_env: Optional[dict[str, Any]] = None,
    enable_resource_isolation: bool = False,
    system_reserved_cpu: Optional[float] = None,
    system_reserved_memory: Optional[int] = None,
    **kwargs: Any,
) -> ClientContext:
    """Connects to a running instance, or starts one that ends with this script.

    Amounts are what the node is to have, real or not. ``object_store_memory`` and ``_memory`` are
    bytes; an instance that is started shows its metrics at ``_metrics_export_port`` of 127.0.0.1.
    RuntimeError when called twice; ValueError for amounts no node can have, or given together with
    a running instance; ConnectionError when nothing runs at ``address``.
    """
    global _namespace
    unknown = sorted(set(kwargs) - _RAYS_OWN - {"_memory", "_metrics_export_port"})
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")
    if local_mode:
        raise NotImplementedError("ray.init(local_mode=True) is not there: it runs tasks and actors, Serve has none.")
    if is_initialized():
        if ignore_reinit_error:
            logger.info("Calling ray.init() again after it has already been called.")
            return ClientContext(_instance.current() or _instance.connect())
        raise RuntimeError(
            "Maybe you called ray.init twice by accident? This error can be suppressed by passing in "
            "'ignore_reinit_error=True' or by calling 'ray.shutdown()' prior to 'ray.init()'."
        )
    for name, amount in (
        ("num_cpus", num_cpus),
        ("num_gpus", num_gpus),
        ("object_store_memory", object_store_memory),
        ("_memory", kwargs.get("_memory")),
    ):
        _check(name, amount, (int, float), "a number")
    _check("address", address, (str,), "a string")
    _check("resources", resources, (dict,), "a dictionary of amounts")
    _check("labels", labels, (dict,), "a dictionary of strings")
    _check_amounts(resources or {})
    metrics_port = kwargs.get("_metrics_export_port")
    _check("_metrics_export_port", metrics_port, (int,), "a port")
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError("namespace must be None or a string.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
    check_runtime_env(runtime_env or {})
    if include_dashboard:
        logger.warning("include_dashboard: there is no dashboard yet; nothing listens on its port.")
    own = {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "resources": resources,
        "labels": labels,
        "object_store_memory": object_store_memory,
    }
    instance = _connect(address, own)
    if instance is None:
        instance = _instance.start_embedded(
            **own,  # type: ignore[arg-type]
            memory=kwargs.get("_memory"),
            metrics_export_port=metrics_port,
        )
    api.default_runtime_env.clear()
    api.default_runtime_env.update(runtime_env or {})
    _namespace = namespace or ""
    return ClientContext(instance)


def shutdown(_exiting_interpreter: bool = False) -> None:
    """Leaves the instance; one that this script started ends with all its replicas."""
    global _namespace
    _instance.disconnect()
    api.default_runtime_env.clear()
    _namespace = ""
