"""Code of the user's that decides about a deployment: its request router, its autoscaling policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Optional

from penstock import _core
from penstock._code_host import import_path
from penstock.serve.config import to_json
from penstock.serve.request_router._resolve import custom_class

__all__ = ["Deciders"]


def _custom_policy(config: Any) -> Optional[Callable[..., Any]]:
    """The function or class that an ``autoscaling_config`` names; None for Serve's own.

    ModuleNotFoundError when it cannot be imported, TypeError when it cannot be called, ValueError for
    options that are wrong.
    """
    if config is None or not _core.is_custom_policy(to_json(config)):
        return None
    policy = config["policy"] if isinstance(config, dict) else config.policy
    named = policy["policy_function"] if isinstance(policy, dict) else policy.policy_function
    found = import_path(named, "policy_function") if isinstance(named, str) else named
    if not callable(found):
        raise TypeError(f"policy_function must be a function or class, got {found!r}.")
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Deciders:
    """None where Serve's own is meant."""

    router: Optional[type] = None
    policy: Optional[Callable[..., Any]] = None

    def after(self, given: dict[str, Any]) -> Deciders:
        """With what a call's options say."""
        changed = self
        if "request_router_config" in given:
            changed = replace(changed, router=custom_class(given["request_router_config"]))
        if "autoscaling_config" in given:
            changed = replace(changed, policy=_custom_policy(given["autoscaling_config"]))
        return changed
