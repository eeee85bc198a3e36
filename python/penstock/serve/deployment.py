"""``@serve.deployment``: a class or function with the options it is to run under."""

from __future__ import annotations

import inspect
import json
from typing import Any, Callable, Optional, Union

from penstock import _core
from penstock.serve._deciders import Deciders
from penstock.serve.config import to_json

__all__ = ["Application", "Deployment", "deployment"]


class _Unset:
    """Tells "not given" from None."""

    def __repr__(self) -> str:
        return "<unset>"


UNSET: Any = _Unset()


class Application:
    """A bound deployment, and with it the graph of those bound to its arguments."""

    def __init__(self, bound: Deployment) -> None:
        self._bound_deployment = bound

    def __repr__(self) -> str:
        return f"Application({self._bound_deployment.name})"


class Deployment:
    """A class or function and its options. Made by ``@serve.deployment``."""

    def __init__(
        self,
        name: str,
        func_or_class: Any,
        options: dict[str, Any],
        init_args: tuple[Any, ...] = (),
        init_kwargs: Optional[dict[str, Any]] = None,
        deciders: Optional[Deciders] = None,
        _internal: bool = False,
    ) -> None:
        if not _internal:
            raise RuntimeError(
                "The Deployment constructor should not be called directly. Use `@serve.deployment` instead."
            )
        if not callable(func_or_class):
            raise TypeError("@serve.deployment must be called on a class or function.")
        if not isinstance(name, str):
            raise TypeError("name must be a string.")
        if "#" in name:
            raise ValueError(f"Deployment names must not contain the '#' character. Current name: {name}.")
        if options.get("user_config") is not None and not inspect.isclass(func_or_class):
            raise ValueError("user_config may only be set for a class deployment.")
        self._name = name
        self._func_or_class = func_or_class
        self._options = options
        self._init_args = init_args
        self._init_kwargs = init_kwargs or {}
        self._deciders = deciders or Deciders()

    @property
    def name(self) -> str:
        """Name of the deployment."""
        return self._name

    @property
    def version(self) -> None:
        """Removed from Serve; always None."""
        return None

    @property
    def func_or_class(self) -> Any:
        """What was decorated."""
        return self._func_or_class

    @property
    def num_replicas(self) -> int:
        """The fixed number of replicas; 1 when it is autoscaled."""
        return int(self._options.get("num_replicas", 1))

    @property
    def max_ongoing_requests(self) -> int:
        """Requests that one replica may run at once."""
        return int(self._options.get("max_ongoing_requests", 5))

    @property
    def max_queued_requests(self) -> int:
        """Requests that may wait per caller; -1 for no limit."""
        return int(self._options.get("max_queued_requests", -1))

    @property
    def user_config(self) -> Any:
        """What ``reconfigure`` gets."""
        return self._options.get("user_config")

    @property
    def backpressure_config(self) -> Any:
        """What a caller is told when the queue is full, or None for the default."""
        return self._options.get("backpressure_config")

    @property
    def logging_config(self) -> Any:
        """How replicas log, or None for the default."""
        return self._options.get("logging_config")

    @property
    def ray_actor_options(self) -> dict[str, Any]:
        """What each replica gets."""
        options = dict(self._options.get("ray_actor_options") or {})
        if options.get("num_cpus") is None:
            options["num_cpus"] = 1
        return options

    @property
    def init_args(self) -> tuple[Any, ...]:
        """Positional constructor arguments."""
        return self._init_args

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """Keyword constructor arguments."""
        return self._init_kwargs

    def bind(self, *args: Any, **kwargs: Any) -> Application:
        """Binds constructor arguments. Applications among them become handles in the replica."""
        if not inspect.isclass(self._func_or_class) and (args or kwargs):
            raise ValueError("init_args not supported for function deployments.")
        bound = Deployment(self._name, self._func_or_class, self._options, args, kwargs, self._deciders, _internal=True)
        return Application(bound)

    def options(
        self,
        func_or_class: Optional[Callable[..., Any]] = None,
        name: Any = UNSET,
        version: Any = UNSET,
        num_replicas: Any = UNSET,
        ray_actor_options: Any = UNSET,
        placement_group_bundles: Any = UNSET,
        placement_group_strategy: Any = UNSET,
        placement_group_bundle_label_selector: Any = UNSET,
        max_replicas_per_node: Any = UNSET,
        user_config: Any = UNSET,
        max_ongoing_requests: Any = UNSET,
        max_queued_requests: Any = UNSET,
        backpressure_config: Any = UNSET,
        autoscaling_config: Any = UNSET,
        graceful_shutdown_wait_loop_s: Any = UNSET,
        graceful_shutdown_timeout_s: Any = UNSET,
        health_check_period_s: Any = UNSET,
        health_check_timeout_s: Any = UNSET,
        logging_config: Any = UNSET,
        request_router_config: Any = UNSET,
        max_constructor_retry_count: Any = UNSET,
        gang_scheduling_config: Any = UNSET,
        deployment_actors: Any = UNSET,
        max_surge_percent: Any = UNSET,
        priority: Any = UNSET,
    ) -> Deployment:
        """A copy with some options changed."""
        given = _given(locals(), skip=("self", "func_or_class", "name", "version"))
        _refuse_version(version)
        return Deployment(
            self._name if name is UNSET else name,
            self._func_or_class if func_or_class is None else func_or_class,
            _merged(self._options, given),
            self._init_args,
            self._init_kwargs,
            self._deciders.after(given),
            _internal=True,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Deployments cannot be constructed directly. Use `deployment.deploy() instead.`")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Deployment):
            return NotImplemented
        return (
            self._name == other._name
            and self._func_or_class == other._func_or_class
            and self._options == other._options
            and self._init_args == other._init_args
            and self._init_kwargs == other._init_kwargs
        )

    __hash__ = object.__hash__

    def __str__(self) -> str:
        return f"Deployment(name={self._name})"

    __repr__ = __str__


def _given(arguments: dict[str, Any], skip: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in arguments.items() if v is not UNSET and k not in skip}


def _refuse_version(version: Any) -> None:
    if version is not UNSET:
        raise ValueError(
            "`version` in `@serve.deployment` has been removed. Serve manages deployment versions internally."
        )


def _merged(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Options of one call over those set before, checked by the native validator."""
    if "user_config" in given:
        try:
            json.dumps(given["user_config"], allow_nan=False)
        except (TypeError, ValueError) as why:
            raise ValueError(f"user_config is not JSON-serializable: {why}.") from None
    merged: dict[str, Any] = json.loads(_core.merge_options(to_json(before), to_json(given)))
    return merged


def deployment(
    _func_or_class: Optional[Callable[..., Any]] = None,
    name: Any = UNSET,
    version: Any = UNSET,
    num_replicas: Any = UNSET,
    ray_actor_options: Any = UNSET,
    placement_group_bundles: Any = UNSET,
    placement_group_strategy: Any = UNSET,
    placement_group_bundle_label_selector: Any = UNSET,
    max_replicas_per_node: Any = UNSET,
    user_config: Any = UNSET,
    max_ongoing_requests: Any = UNSET,
    max_queued_requests: Any = UNSET,
    backpressure_config: Any = UNSET,
    autoscaling_config: Any = UNSET,
    graceful_shutdown_wait_loop_s: Any = UNSET,
    graceful_shutdown_timeout_s: Any = UNSET,
    health_check_period_s: Any = UNSET,
    health_check_timeout_s: Any = UNSET,
    logging_config: Any = UNSET,
    request_router_config: Any = UNSET,
    max_constructor_retry_count: Any = UNSET,
    gang_scheduling_config: Any = UNSET,
    deployment_actors: Any = UNSET,
    rolling_update_percentage: Any = UNSET,
    max_surge_percent: Any = UNSET,
    priority: Any = UNSET,
) -> Union[Deployment, Callable[[Callable[..., Any]], Deployment]]:
    """Turns a class or function into a deployment. Options, ranges and defaults are Ray Serve's.

    ValueError or TypeError for an option out of range or of the wrong type, in Ray Serve's words.
    """
    given = _given(locals(), skip=("_func_or_class", "name", "version"))
    _refuse_version(version)
    options = _merged({}, given)
    deciders = Deciders().after(given)

    def decorate(func_or_class: Callable[..., Any]) -> Deployment:
        own_name = getattr(func_or_class, "__name__", "")
        own_name = own_name if name is UNSET else name
        return Deployment(own_name, func_or_class, options, deciders=deciders, _internal=True)

    return decorate(_func_or_class) if callable(_func_or_class) else decorate
