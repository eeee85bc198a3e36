"""Ray Serve's API.

What is here behaves as in Ray Serve 2.60, or has a row in docs/differences.md. What Ray Serve has
and this does not yet raises NotImplementedError naming itself.
"""

from penstock.serve import metrics
from penstock.serve.api import (
    RunTarget,
    _run,
    _run_many,
    configure_logging,
    delete,
    get_app_handle,
    get_deployment_handle,
    get_multiplexed_model_id,
    run,
    run_many,
    shutdown,
    shutdown_async,
    start,
    status,
)
from penstock.serve.batching import batch
from penstock.serve.config import ControllerOptions, HTTPOptions
from penstock.serve.context import get_replica_context
from penstock.serve.deployment import Application, Deployment, deployment
from penstock.serve.ingress import ingress
from penstock.serve.multiplex import multiplexed

configure_logging()

__all__ = [
    "Application",
    "ControllerOptions",
    "Deployment",
    "HTTPOptions",
    "RunTarget",
    "_run",
    "_run_many",
    "batch",
    "delete",
    "deployment",
    "get_app_handle",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "get_replica_context",
    "ingress",
    "metrics",
    "multiplexed",
    "run",
    "run_many",
    "shutdown",
    "shutdown_async",
    "start",
    "status",
]
