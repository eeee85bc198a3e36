"""What of ``ray.util`` deployments use: metrics. The rest is about tasks and actors."""

from typing import NoReturn

from ray.util import metrics as metrics


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(f"module 'ray.util' has no attribute '{name}'")
    raise NotImplementedError(f"ray.util.{name} is not there: Penstock serves deployments, it runs no tasks or actors.")
