"""Option classes. Each checks its values when it is made, by the native validator's rules.

Ranges and defaults: Ray Serve 2.60. Names ending in ``_s`` are seconds.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from types import ModuleType
from typing import Any, Callable, Optional, Union

from penstock import _core

__all__ = [
    "AggregationFunction",
    "AutoscalingConfig",
    "AutoscalingContext",
    "AutoscalingPolicy",
    "BackpressureConfig",
    "ControllerOptions",
    "EncodingType",
    "GangPlacementStrategy",
    "GangRuntimeFailurePolicy",
    "GangSchedulingConfig",
    "HTTPOptions",
    "LoggingConfig",
    "ProxyLocation",
    "RequestRouterConfig",
    "gRPCOptions",
]


def to_plain(value: Any) -> Any:
    """Config objects and enums as plain JSON values; everything else as it is."""
    if isinstance(value, Options):
        return value.dict()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, ModuleType):  # in py_modules: the folder or file it is
        return str(next(iter(getattr(value, "__path__", [])), value.__file__))
    if callable(value):
        return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', repr(value))}"
    return value


def to_json(value: Any) -> str:
    """JSON text of plain values and config objects; TypeError naming what is neither."""
    return json.dumps(to_plain(value), allow_nan=False)


class Options:
    """What all option classes share."""

    def dict(self) -> dict[str, Any]:
        """Every field that is set, as plain values."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = {f.name: to_plain(getattr(self, f.name)) for f in fields}
        return {name: value for name, value in values.items() if value is not None}

    model_dump = dict


class AggregationFunction(str, Enum):
    """How the load of the look-back period becomes one number."""

    MEAN = "mean"
    MAX = "max"
    MIN = "min"


class EncodingType(str, Enum):
    """How a log line is written."""

    TEXT = "TEXT"
    JSON = "JSON"


class GangPlacementStrategy(str, Enum):
    """How the replicas of a gang are spread over nodes, as far as that goes."""

    PACK = "PACK"
    SPREAD = "SPREAD"


class GangRuntimeFailurePolicy(str, Enum):
    """What follows when a replica of a gang fails. RESTART_REPLICA is not implemented."""

    RESTART_GANG = "RESTART_GANG"
    RESTART_REPLICA = "RESTART_REPLICA"


class ProxyLocation(str, Enum):
    """On which nodes there is a proxy."""

    Disabled = "Disabled"
    HeadOnly = "HeadOnly"
    EveryNode = "EveryNode"


@dataclass
class AutoscalingPolicy(Options):
    """A policy of one's own: a function of an AutoscalingContext, or a class whose objects are one.

    ``policy_function`` is an import path, ``module:name``, or the function or class itself, which is
    then shipped by value. ``policy_kwargs`` are for a class's constructor.
    """

    policy_function: Union[str, Callable[..., Any]] = "ray.serve.autoscaling_policy:default_autoscaling_policy"
    policy_kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            json.dumps(self.policy_kwargs)
        except TypeError as why:
            raise ValueError(f"policy_kwargs is not JSON-serializable: {why}.") from None
        _core.check_autoscaling(to_json({"policy": self.dict()}))


_Lazy = Union[Any, Callable[[], Any]]


class AutoscalingContext:
    """What an autoscaling policy may know. What is dear to make may be given as a function of no arguments."""

    def __init__(
        self,
        deployment_id: Any,
        deployment_name: str,
        app_name: Optional[str],
        current_num_replicas: int,
        target_num_replicas: int,
        running_replicas: list[Any],
        total_num_requests: _Lazy,
        total_queued_requests: _Lazy,
        aggregated_metrics: _Lazy,
        raw_metrics: _Lazy,
        capacity_adjusted_min_replicas: int,
        capacity_adjusted_max_replicas: int,
        policy_state: dict[str, Any],
        last_scale_up_time: Optional[float],
        last_scale_down_time: Optional[float],
        current_time: Optional[float],
        config: Optional[Any],
    ) -> None:
        self.deployment_id = deployment_id
        self.deployment_name = deployment_name
        self.app_name = app_name
        #: Replicas that take requests now, and how many are wanted.
        self.current_num_replicas = current_num_replicas
        self.target_num_replicas = target_num_replicas
        self.running_replicas = running_replicas
        self.capacity_adjusted_min_replicas = capacity_adjusted_min_replicas
        self.capacity_adjusted_max_replicas = capacity_adjusted_max_replicas
        #: What the policy returned beside its count the last time.
        self.policy_state = policy_state
        #: Seconds since the epoch; None before the first time.
        self.last_scale_up_time = last_scale_up_time
        self.last_scale_down_time = last_scale_down_time
        self.current_time = current_time
        self.config = config
        self._total_num_requests = total_num_requests
        self._total_queued_requests = total_queued_requests
        self._aggregated_metrics = aggregated_metrics
        self._raw_metrics = raw_metrics

    @cached_property
    def total_num_requests(self) -> float:
        """Requests that run or wait, over the look-back period."""
        return float(_made(self._total_num_requests))

    @cached_property
    def total_queued_requests(self) -> float:
        """Those of them that wait for a replica."""
        return float(_made(self._total_queued_requests) or 0)

    @property
    def total_running_requests(self) -> float:
        """Those of them that run; not less than none."""
        return max(0.0, self.total_num_requests - self.total_queued_requests)

    @cached_property
    def aggregated_metrics(self) -> Any:
        """What ``record_autoscaling_stats`` said, over the look-back period: by metric, by replica."""
        return _made(self._aggregated_metrics)

    @cached_property
    def raw_metrics(self) -> Any:
        """The samples of it."""
        return _made(self._raw_metrics)


def _made(value: _Lazy) -> Any:
    return value() if callable(value) else value


@dataclass
class AutoscalingConfig(Options):
    """How a deployment follows its traffic. ValueError naming the field that is out of range."""

    min_replicas: int = 1
    initial_replicas: Optional[int] = None
    max_replicas: int = 1
    target_ongoing_requests: float = 2
    metrics_interval_s: float = 10.0
    look_back_period_s: float = 30.0
    smoothing_factor: float = 1.0
    upscale_smoothing_factor: Optional[float] = None
    downscale_smoothing_factor: Optional[float] = None
    upscaling_factor: Optional[float] = None
    downscaling_factor: Optional[float] = None
    downscale_delay_s: float = 600.0
    downscale_to_zero_delay_s: Optional[float] = None
    upscale_delay_s: float = 30.0
    aggregation_function: Union[str, AggregationFunction] = AggregationFunction.MEAN
    policy: Optional[Any] = None

    def __post_init__(self) -> None:
        _core.check_autoscaling(to_json(self.dict()))

    def get_target_ongoing_requests(self) -> float:
        """How many requests each replica is to have."""
        return self.target_ongoing_requests

    def get_upscaling_factor(self) -> float:
        """The gain when growing."""
        return self.upscaling_factor or self.upscale_smoothing_factor or self.smoothing_factor

    def get_downscaling_factor(self) -> float:
        """The gain when shrinking."""
        return self.downscaling_factor or self.downscale_smoothing_factor or self.smoothing_factor


@dataclass
class GangSchedulingConfig(Options):
    """Replicas that are placed, fail and end together, ``gang_size`` at a time.

    ValueError naming the field that is out of range; NotImplementedError for RESTART_REPLICA.
    """

    gang_size: int
    gang_placement_strategy: Union[str, GangPlacementStrategy] = GangPlacementStrategy.PACK
    runtime_failure_policy: Union[str, GangRuntimeFailurePolicy] = GangRuntimeFailurePolicy.RESTART_GANG

    def __post_init__(self) -> None:
        _core.merge_options("{}", to_json({"gang_scheduling_config": self.dict(), "autoscaling_config": {}}))


@dataclass
class HTTPOptions(Options):
    """Where and how the proxy listens. ``host=None`` means no proxy."""

    host: Optional[str] = field(default_factory=lambda: os.environ.get("RAY_SERVE_DEFAULT_HTTP_HOST", "127.0.0.1"))
    port: int = 8000
    root_url: str = ""
    root_path: str = ""
    request_timeout_s: Optional[float] = None
    keep_alive_timeout_s: float = 90
    ssl_keyfile: Optional[str] = None
    ssl_certfile: Optional[str] = None
    ssl_keyfile_password: Optional[str] = None
    ssl_ca_certs: Optional[str] = None
    location: Optional[Union[str, ProxyLocation]] = None
    middlewares: list[Any] = field(default_factory=list)
    num_cpus: int = 0
    # Beyond Ray Serve.
    request_head_timeout_s: Optional[float] = None  # 60
    request_body_timeout_s: Optional[float] = None  # 60
    max_body_bytes: Optional[int] = None  # 1 GiB

    def __post_init__(self) -> None:
        _core.check_http_options(to_json(self.dict()))


@dataclass
class gRPCOptions(Options):
    """Whether and how the proxy serves gRPC: on every address, when there is a port and a servicer function."""

    port: int = 9000
    grpc_servicer_functions: list[str] = field(default_factory=list)
    request_timeout_s: Optional[float] = None
    enable_reflection: bool = True

    def __post_init__(self) -> None:
        _core.check_grpc_options(to_json(self.dict()))


@dataclass
class BackpressureConfig(Options):
    """What a caller is told when the queue is full: 503 or 429, and when to come back."""

    status_code: int = 503
    retry_after_s: Optional[float] = None

    def __post_init__(self) -> None:
        _core.merge_options("{}", to_json({"backpressure_config": self.dict()}))


@dataclass
class RequestRouterConfig(Options):
    """Which router to use: a class or its import path, and what its ``initialize_state`` gets.

    ModuleNotFoundError for a class that cannot be imported.
    """

    request_router_class: Union[str, Callable[..., Any]] = (
        "ray.serve._private.request_router:PowerOfTwoChoicesRequestRouter"
    )
    request_router_kwargs: dict[str, Any] = field(default_factory=dict)
    request_routing_stats_period_s: float = 10
    request_routing_stats_timeout_s: float = 30
    initial_backoff_s: float = 0.025
    backoff_multiplier: float = 2
    max_backoff_s: float = 0.5

    def __post_init__(self) -> None:
        from penstock.serve.request_router._resolve import custom_class

        custom_class(self)


@dataclass
class LoggingConfig(Options):
    """How replicas log."""

    encoding: Union[str, EncodingType] = EncodingType.TEXT
    log_level: Union[int, str] = "INFO"
    logs_dir: Optional[str] = None
    enable_access_log: bool = True
    additional_log_standard_attrs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _core.merge_options("{}", to_json({"logging_config": self.dict()}))


@dataclass
class ControllerOptions(Options):
    """Environment of the controller; only ``env_vars`` may be set, and it is not acted upon yet."""

    runtime_env: Optional[dict[str, Any]] = None

    def __post_init__(self) -> None:
        if self.runtime_env:
            raise NotImplementedError("controller_options.runtime_env is accepted but not acted upon yet.")
