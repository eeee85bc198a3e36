"""Ray Serve's names; everything is penstock.serve."""

from penstock.serve import *  # noqa: F403
from penstock.serve import __all__, _run, _run_many  # noqa: F401

# Scripts read them as attributes too: `serve.exceptions.BackPressureError`.
from ray.serve import (  # noqa: F401
    api,
    config,
    context,
    exceptions,
    grpc_util,
    handle,
    request_router,
    schema,
)
