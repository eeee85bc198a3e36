"""Local testing mode: applications inside this process, without an instance.

Each deployment is one object with an event loop on a thread of its own. Requests run through the
replica's own code (``penstock._replica.invoke``), so that methods, generators, cancellation and
errors are what they are in a replica; there is no router, no limit, no HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from penstock._local.handle import LocalHandle

__all__ = ["delete", "delete_all", "find", "run_many", "wanted"]

# By application: the name of its ingress, and the handles of its deployments. A handle keeps its
# deployment alive, and so does this.
_apps: dict[str, tuple[str, dict[str, LocalHandle]]] = {}


def wanted(asked: bool) -> bool:
    """True when the call or RAY_SERVE_FORCE_LOCAL_TESTING_MODE=1 says so."""
    return asked or os.environ.get("RAY_SERVE_FORCE_LOCAL_TESTING_MODE") == "1"


def run_many(targets: Sequence[Any]) -> list[LocalHandle]:
    """Runs applications (``serve.RunTarget``) in place of those of the same names.

    Returns the handles of their ingresses; raises what a constructor raises.
    """
    from penstock._local.build import build

    for target in targets:
        _apps[target.name] = build(target.target, target.name)
    return [handles[ingress] for ingress, handles in (_apps[target.name] for target in targets)]


def find(app: str, deployment: Optional[str] = None) -> Optional[LocalHandle]:
    """The handle of a deployment, or of the ingress; None when nothing here has these names."""
    ingress, handles = _apps.get(app, ("", {}))
    return handles.get(deployment or ingress)


def delete(app: str) -> bool:
    """Forgets an application: it ends with its last handle. False when there is none."""
    return _apps.pop(app, None) is not None


def delete_all() -> None:
    """Forgets every application."""
    _apps.clear()
