"""Option classes. Each checks its values when it is made, by the native validator's rules.

Ranges and defaults: Ray Serve 2.60. Names ending in ``_s`` are seconds.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any, Callable, Optional, Union

from penstock import _core

__all__ = [
    "AggregationFunction",
    "AutoscalingConfig",
    "BackpressureConfig",
    "ControllerOptions",
    "EncodingType",
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


class ProxyLocation(str, Enum):
    """On which nodes there is a proxy."""

    Disabled = "Disabled"
    HeadOnly = "HeadOnly"
    EveryNode = "EveryNode"


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

    def get_upscaling_factor(self) -> float:
        """The gain when growing."""
        return self.upscaling_factor or self.upscale_smoothing_factor or self.smoothing_factor

    def get_downscaling_factor(self) -> float:
        """The gain when shrinking."""
        return self.downscaling_factor or self.downscale_smoothing_factor or self.smoothing_factor


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
