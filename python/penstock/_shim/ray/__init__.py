"""Ray's name for what Penstock serves: deployments, and the little of Ray that they touch.

Found when this package's folder is on PYTHONPATH (``penstock python``, ``penstock shim``). Tasks,
actors and the object store are no part of it; asking for them says so.
"""

from typing import NoReturn

from penstock import __version__ as _penstock_version
from penstock._objects import ObjectRef, get, put
from penstock._ray.cluster import available_resources, cluster_resources, get_gpu_ids, nodes
from penstock._ray.init import ClientContext, init, is_initialized, shutdown
from penstock._ray.runtime_context import get_runtime_context
from ray import exceptions, util

# The version of Ray whose Serve this follows.
__version__ = f"2.60.0+penstock.{_penstock_version}"

__all__ = [
    "ClientContext",
    "ObjectRef",
    "__version__",
    "available_resources",
    "cluster_resources",
    "exceptions",
    "get",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "nodes",
    "put",
    "shutdown",
    "util",
]

_LEFT_OUT = frozenset(
    {"actor", "cancel", "data", "get_actor", "kill", "method", "remote", "timeline", "train", "tune", "wait"}
)


def __getattr__(name: str) -> NoReturn:
    if name in _LEFT_OUT:
        raise NotImplementedError(f"ray.{name} is not there: Penstock serves deployments, it runs no tasks or actors.")
    raise AttributeError(f"module 'ray' has no attribute '{name}'")
