"""Options that cannot be: the type of the exception and its words, in Ray Serve's manner."""

from __future__ import annotations

import inspect
import re
from typing import Any, Callable

import pytest
from ray import serve
from ray.serve.config import (
    AutoscalingConfig,
    BackpressureConfig,
    HTTPOptions,
    LoggingConfig,
    RequestRouterConfig,
)

ONE_CPU = [{"CPU": 1}]


class Plain:
    """Something to deploy."""

    def __call__(self) -> str:
        return "plain"


def function() -> str:
    return "plain"


def options(**given: Any) -> serve.Deployment:
    deployed: serve.Deployment = serve.deployment(**given)(Plain)
    return deployed


def actor(**given: Any) -> serve.Deployment:
    return options(ray_actor_options=given)


def autoscaled(**given: Any) -> serve.Deployment:
    return options(autoscaling_config=given)


def refusal(kind: type[Exception], words: str, make: Callable[[], Any]) -> None:
    """``make()`` raises this kind of exception, with these words somewhere in it."""
    with pytest.raises(kind, match=re.escape(words)):
        make()


# ---- the table of options ----

BAD_NUMBERS = [
    ({"num_replicas": 0}, "num_replicas is expected to larger than 0"),
    ({"num_replicas": -1}, "num_replicas"),
    ({"num_replicas": 1.5}, "num_replicas"),
    ({"num_replicas": "many"}, "num_replicas"),
    ({"max_ongoing_requests": None}, "max_ongoing_requests"),
    ({"max_ongoing_requests": 0}, "max_ongoing_requests"),
    ({"max_ongoing_requests": -2}, "max_ongoing_requests"),
    ({"max_ongoing_requests": 1.5}, "max_ongoing_requests"),
    (
        {"max_queued_requests": 0},
        "max_queued_requests must be -1 (no limit) or a positive integer.",
    ),
    (
        {"max_queued_requests": -2},
        "max_queued_requests must be -1 (no limit) or a positive integer.",
    ),
    ({"max_queued_requests": None}, "max_queued_requests"),
    ({"max_queued_requests": 1.5}, "max_queued_requests"),
    ({"graceful_shutdown_timeout_s": -1}, "graceful_shutdown_timeout_s"),
    ({"graceful_shutdown_wait_loop_s": -0.1}, "graceful_shutdown_wait_loop_s"),
    ({"health_check_period_s": 0}, "health_check_period_s"),
    ({"health_check_timeout_s": 0}, "health_check_timeout_s"),
    ({"health_check_timeout_s": "soon"}, "health_check_timeout_s"),
    ({"max_constructor_retry_count": 0}, "max_constructor_retry_count"),
    ({"rolling_update_percentage": 0}, "rolling_update_percentage"),
    ({"rolling_update_percentage": 1.01}, "rolling_update_percentage"),
    ({"max_surge_percent": -1}, "max_surge_percent"),
    ({"max_surge_percent": 101}, "max_surge_percent"),
    ({"max_surge_percent": 1.5}, "max_surge_percent"),
    (
        {"max_replicas_per_node": 0},
        "Invalid max_replicas_per_node 0. Valid values are None or an integer in the range of [1, 100].",
    ),
    ({"max_replicas_per_node": 101}, "Invalid max_replicas_per_node 101."),
]


@pytest.mark.parametrize(("given", "words"), BAD_NUMBERS, ids=str)
def test_numbers_out_of_range(given: dict[str, Any], words: str) -> None:
    refusal(ValueError, words, lambda: options(**given))


@pytest.mark.parametrize(("given", "words"), [row for row in BAD_NUMBERS if "rolling" not in str(row)], ids=str)
def test_options_refuses_the_same(given: dict[str, Any], words: str) -> None:
    good = options()
    refusal(ValueError, words, lambda: good.options(**given))


@pytest.mark.parametrize(("given", "number"), [("3", 3), (2.0, 2), (True, 1), (None, 1)])
def test_numbers_that_are_meant(given: Any, number: int) -> None:
    assert options(num_replicas=given).num_replicas == number


BAD_COMBINATIONS = [
    (
        {"num_replicas": 2, "autoscaling_config": {}},
        "Manually setting num_replicas is not allowed when autoscaling_config is provided.",
    ),
    (
        {"max_replicas_per_node": 1, "placement_group_bundles": ONE_CPU},
        "Setting max_replicas_per_node is not allowed when placement_group_bundles is provided.",
    ),
    (
        {"placement_group_strategy": "SPREAD"},
        "If `placement_group_strategy` is provided, `placement_group_bundles` must also be provided.",
    ),
    (
        {"placement_group_bundles": [{"CPU": 0.5}]},
        "When using `placement_group_bundles`, the replica actor will be placed in the first "
        "bundle, so the resource requirements for the actor must be a subset of the first bundle.",
    ),
    (
        {"placement_group_bundles": ONE_CPU, "ray_actor_options": {"num_gpus": 1}},
        "must be a subset of the first bundle.",
    ),
    ({"placement_group_bundles": []}, "Bundles must be a non-empty list of resource dictionaries."),
    (
        {"placement_group_bundles": [{}]},
        "Bundles cannot be an empty dictionary or resources with only 0 values.",
    ),
    (
        {"placement_group_bundles": [{"CPU": 0}]},
        "Bundles cannot be an empty dictionary or resources with only 0 values.",
    ),
    (
        {"placement_group_bundles": ONE_CPU, "placement_group_strategy": "TIGHT"},
        "Invalid placement group strategy TIGHT. Supported strategies are: {",
    ),
    (
        {
            "placement_group_bundles": ONE_CPU * 3,
            "placement_group_bundle_label_selector": [{"a": "b"}] * 2,
        },
        "placement_group_bundle_label_selector",
    ),
    (
        {"num_replicas": 3, "gang_scheduling_config": {"gang_size": 2}},
        "num_replicas (3) must be a multiple of gang_size (2).",
    ),
    ({"gang_scheduling_config": {"gang_size": 0}}, "gang_size"),
    ({"gang_scheduling_config": {}}, "gang_size"),
    (
        {"gang_scheduling_config": {"gang_size": 1}, "max_replicas_per_node": 1},
        "max_replicas_per_node",
    ),
    ({"deployment_actors": [{"name": "a"}, {"name": "a"}]}, "unique names"),
]


@pytest.mark.parametrize(("given", "words"), BAD_COMBINATIONS, ids=str)
def test_options_that_exclude_each_other(given: dict[str, Any], words: str) -> None:
    refusal(ValueError, words, lambda: options(**given))


def test_max_replicas_per_node_has_a_type() -> None:
    refusal(TypeError, "max_replicas_per_node", lambda: options(max_replicas_per_node="few"))


# ---- nested ones ----


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"min_replicas": 3, "max_replicas": 2},
            "max_replicas (2) must be greater than or equal to min_replicas (3)!",
        ),
        (
            {"min_replicas": 2, "initial_replicas": 1, "max_replicas": 3},
            "min_replicas (2) must be less than or equal to initial_replicas (1)!",
        ),
        (
            {"initial_replicas": 4, "max_replicas": 3},
            "max_replicas (3) must be greater than or equal to initial_replicas (4)!",
        ),
        ({"min_replicas": -1}, "min_replicas"),
        ({"max_replicas": 0}, "max_replicas"),
        ({"target_ongoing_requests": 0}, "target_ongoing_requests"),
        ({"metrics_interval_s": 0}, "metrics_interval_s"),
        ({"look_back_period_s": -1}, "look_back_period_s"),
        ({"upscale_delay_s": -1}, "upscale_delay_s"),
        ({"downscale_delay_s": -1}, "downscale_delay_s"),
        ({"downscale_to_zero_delay_s": -1}, "downscale_to_zero_delay_s"),
        ({"upscaling_factor": 0}, "upscaling_factor"),
        ({"downscaling_factor": 0}, "downscaling_factor"),
        ({"smoothing_factor": 0}, "smoothing_factor"),
        ({"aggregation_function": "median"}, "aggregation_function"),
    ],
    ids=str,
)
def test_autoscaling_configs(given: dict[str, Any], words: str) -> None:
    refusal(ValueError, words, lambda: autoscaled(**given))
    refusal(ValueError, words, lambda: AutoscalingConfig(**given))


def test_autoscaling_ignores_what_it_does_not_know() -> None:
    assert autoscaled(max_replicas=2, colour="blue").num_replicas == 1


@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        ("backpressure_config", {"status_code": 500}, "status_code"),
        ("backpressure_config", {"retry_after_s": -1}, "retry_after_s"),
        ("backpressure_config", {"colour": "blue"}, "colour"),
        ("logging_config", {"log_level": "LOUD"}, "log_level"),
        ("logging_config", {"log_level": 15}, "log_level"),
        ("logging_config", {"encoding": "XML"}, "encoding"),
        ("logging_config", {"colour": "blue"}, "colour"),
        ("request_router_config", {"initial_backoff_s": 0}, "initial_backoff_s"),
        ("request_router_config", {"backoff_multiplier": -1}, "backoff_multiplier"),
        ("request_router_config", {"max_backoff_s": 0}, "max_backoff_s"),
    ],
)
def test_nested_options(option: str, given: dict[str, Any], words: str) -> None:
    refusal(ValueError, words, lambda: options(**{option: given}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: BackpressureConfig(status_code=404),
        lambda: LoggingConfig(encoding="YAML"),
        lambda: LoggingConfig(log_level="loud"),
        lambda: RequestRouterConfig(max_backoff_s=-1),
        lambda: HTTPOptions(middlewares=["mine"]),
        lambda: HTTPOptions(num_cpus=1),
        lambda: HTTPOptions(ssl_certfile="/cert.pem"),
        lambda: HTTPOptions(keep_alive_timeout_s=0),
    ],
)
def test_option_classes_check_what_they_are_given(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        make()


def test_a_negative_request_timeout_means_none() -> None:
    assert HTTPOptions(request_timeout_s=-1).request_timeout_s == -1


# ---- ray_actor_options ----


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (ValueError, {"name": "x"}, "Specifying 'name' in ray_actor_options is not allowed."),
        (ValueError, {"max_restarts": 1}, "Allowed options: {"),
        (
            TypeError,
            {"num_cpus": "two"},
            "The type of keyword 'num_cpus' must be (<class 'float'>, <class 'int'>, "
            "<class 'NoneType'>), but received type <class 'str'>",
        ),
        (TypeError, {"num_gpus": [1]}, "but received type <class 'list'>"),
        (TypeError, {"memory": "1G"}, "The type of keyword 'memory'"),
        (ValueError, {"num_cpus": -1}, "The quantity of resource num_cpus cannot be negative"),
        (ValueError, {"memory": -1}, "The quantity of resource memory cannot be negative"),
        (
            ValueError,
            {"num_cpus": 0.00009},
            "The precision of the fractional quantity of resource num_cpus cannot go beyond 0.0001",
        ),
        (
            ValueError,
            {"resources": {"widget": 0.00001}},
            "The precision of the fractional quantity of resource widget cannot go beyond 0.0001",
        ),
        (
            ValueError,
            {"resources": {"CPU": 1}},
            "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword",
        ),
        (
            ValueError,
            {"resources": {"GPU": 1}},
            "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword",
        ),
        (
            ValueError,
            {"resources": {"memory": 1}},
            "The resources dictionary must not contain the key 'memory' or 'object_store_memory'",
        ),
        (
            ValueError,
            {"resources": {"object_store_memory": 1}},
            "The resources dictionary must not contain the key 'memory' or 'object_store_memory'",
        ),
        (ValueError, {"resources": {"bundle_1": 1}}, "bundle"),
        (TypeError, {"resources": ["widget"]}, "resources"),
        (TypeError, {"resources": {"widget": "one"}}, "widget"),
        (
            ValueError,
            {"resources": {"neuron_cores": 0.5}},
            "neuron_cores resource quantity must be whole numbers. The specified quantity 0.5 is invalid.",
        ),
        (TypeError, {"accelerator_type": 4}, "accelerator_type"),
        (TypeError, {"runtime_env": "path"}, "runtime_env"),
        (TypeError, {"label_selector": "zone=a"}, "label_selector"),
        (TypeError, {"label_selector": {"zone": 1}}, "label_selector"),
        (ValueError, {"label_selector": {"zone": "in(a"}}, "Invalid label selector value"),
        (ValueError, {"label_selector": {"-zone": "a"}}, "Invalid label key name"),
        (TypeError, {"fallback_strategy": {"label_selector": {}}}, "fallback_strategy"),
    ],
    ids=str,
)
def test_actor_options(kind: type[Exception], given: dict[str, Any], words: str) -> None:
    refusal(kind, words, lambda: actor(**given))


def test_actor_options_are_a_dictionary() -> None:
    words = "Got invalid type \"<class 'int'>\" for ray_actor_options. Expected a dictionary."
    refusal(TypeError, words, lambda: options(ray_actor_options=1))


def test_more_than_one_gpu_in_fractions_is_seen_only_when_it_is_placed() -> None:
    assert actor(num_gpus=1.5).ray_actor_options["num_gpus"] == 1.5


# ---- the decorator itself ----


@pytest.mark.parametrize(
    ("kind", "words", "make"),
    [
        (TypeError, "unheard_of", lambda: serve.deployment(unheard_of=1)),
        (TypeError, "unheard_of", lambda: options().options(unheard_of=1)),
        (
            TypeError,
            "rolling_update_percentage",
            lambda: options().options(rolling_update_percentage=0.5),
        ),
        (TypeError, "name must be a string.", lambda: options(name=7)),
        (ValueError, "#", lambda: options(name="a#b")),
        (ValueError, "version", lambda: options(version="1")),
        (ValueError, "version", lambda: options().options(version="1")),
        (TypeError, "must be called on a class or function", lambda: serve.deployment()(3)),
        (RuntimeError, "should not be called directly", lambda: serve.Deployment("a", Plain, {})),
        (RuntimeError, "cannot be constructed directly", lambda: options()()),
        (
            ValueError,
            "init_args not supported for function deployments.",
            lambda: serve.deployment(function).bind(1),
        ),
        (
            ValueError,
            "init_args not supported for function deployments.",
            lambda: serve.deployment(function).bind(x=1),
        ),
        (
            ValueError,
            "user_config",
            lambda: serve.deployment(user_config={"a": 1})(function),
        ),
        (ValueError, "user_config", lambda: options(user_config={"a": object()})),
        (ValueError, "user_config", lambda: options(user_config={"a": float("nan")})),
    ],
)
def test_the_decorator(kind: type[Exception], words: str, make: Callable[[], Any]) -> None:
    refusal(kind, words, make)


def test_good_names() -> None:
    assert options().name == "Plain"
    assert options(name="").name == ""
    assert str(options(name="other")) == "Deployment(name=other)"
    assert options().options(name="later").name == "later"
    assert serve.deployment(Plain).name == "Plain"
    assert serve.deployment(function).name == "function"


def test_a_number_does_not_clear_autoscaling() -> None:
    scaled = autoscaled(min_replicas=2, max_replicas=4)
    assert scaled.options(num_replicas=3)._options["autoscaling_config"] == {
        "min_replicas": 2,
        "max_replicas": 4,
    }
    assert "autoscaling_config" not in scaled.options(autoscaling_config=None)._options


def test_every_keyword_of_serve_is_there() -> None:
    known = set(inspect.signature(serve.deployment).parameters) - {"_func_or_class"}
    assert known == {
        "autoscaling_config",
        "backpressure_config",
        "deployment_actors",
        "gang_scheduling_config",
        "graceful_shutdown_timeout_s",
        "graceful_shutdown_wait_loop_s",
        "health_check_period_s",
        "health_check_timeout_s",
        "logging_config",
        "max_constructor_retry_count",
        "max_ongoing_requests",
        "max_queued_requests",
        "max_replicas_per_node",
        "max_surge_percent",
        "name",
        "num_replicas",
        "placement_group_bundle_label_selector",
        "placement_group_bundles",
        "placement_group_strategy",
        "priority",
        "ray_actor_options",
        "request_router_config",
        "rolling_update_percentage",
        "user_config",
        "version",
    }
    later = set(inspect.signature(serve.Deployment.options).parameters) - {"self", "func_or_class"}
    assert later == known - {"rolling_update_percentage"}


def test_defaults() -> None:
    plain = options()
    assert plain.num_replicas == 1
    assert plain.max_ongoing_requests == 5
    assert plain.max_queued_requests == -1
    assert plain.user_config is None
    assert plain.version is None
    assert plain.ray_actor_options == {"num_cpus": 1}
    assert plain.init_args == ()
    assert plain.init_kwargs == {}
    assert plain.func_or_class is Plain
