"""Metrics: what user code counts, what Penstock counts, and the page that shows them."""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import re
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import ray
import requests
from conftest import App, Deployer
from instances import (
    Instance,
    embedded,
    environment,
    free_port,
    own_home,
    penstock_command,
    processes_of,
)
from probes import QUICK
from ray import serve
from ray.exceptions import ActorDiedError
from ray.serve import metrics
from ray.util import metrics as ray_metrics
from starlette.requests import Request
from waiting import wait_until

from penstock import _metrics

METRICS_PORT = free_port()


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16, _metrics_export_port=METRICS_PORT) as running:
        yield running


def page(port: int = METRICS_PORT) -> str:
    """What a scraper sees."""
    reply = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert reply.status_code == 200
    return reply.text


def samples(pattern: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of every sample whose name matches."""
    found = []
    for line in page().splitlines():
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if match and re.fullmatch(pattern, match[1]):
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2]))
            found.append((labels, float(match[3])))
    return found


def total(pattern: str, **labels: str) -> float:
    """Sum of the samples with these labels."""
    return sum(value for has, value in samples(pattern) if labels.items() <= has.items())


@serve.deployment(**QUICK)
class Metered:
    """Counts what it is asked to count."""

    def __init__(self) -> None:
        self.counter = metrics.Counter("t_counter", description="Counts.", tag_keys=("kind",))
        self.gauge = metrics.Gauge("t_gauge")
        self.histogram = metrics.Histogram("t_histogram", boundaries=[1, 10, 100])
        self.routed = metrics.Counter("t_routed", tag_keys=("route",))
        self.held = asyncio.Event()

    def __call__(self, request: Request) -> str:
        query = request.query_params
        if "fail" in query:
            raise ValueError("no")
        self.counter.inc(tags={"kind": query.get("kind", "plain")})
        self.gauge.set(float(query.get("gauge", 1)))
        self.histogram.observe(float(query.get("observe", 5)))
        self.routed.inc()
        return "ok"

    async def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def block(self, gate: str) -> None:
        """Holds the loop up until there is a file."""
        while not os.path.exists(gate):
            pass


# ---- the classes, in any process ----


def stored(name: str) -> list[Any]:
    """The samples of this process."""
    families = [family for family in json.loads(_metrics.collect()) if family["name"] == name]
    return [sample for family in families for sample in family["samples"]]


def test_a_counter_counts_by_its_tags() -> None:
    counter = ray_metrics.Counter("p_counter", "d", tag_keys=("a", "b"))
    assert counter.set_default_tags({"a": "1"}) is counter
    counter.inc(tags={"b": "x"})
    counter.inc(2.5, tags={"b": "x", "a": "1"})
    counter.inc(tags={"b": "y"})
    assert stored("p_counter") == [[["1", "x"], 3.5, []], [["1", "y"], 1.0, []]]
    assert counter.info == {"name": "p_counter", "description": "d", "tag_keys": ("a", "b"), "default_tags": {"a": "1"}}


def test_a_gauge_keeps_the_last_value() -> None:
    gauge = ray_metrics.Gauge("p_gauge")
    for value in (1, -2.5, None):
        gauge.set(value)
    assert stored("p_gauge") == [[[], -2.5, []]]
    gauge.set(math.inf)
    assert stored("p_gauge") == [[[], "inf", []]]


def test_a_histogram_counts_by_bucket() -> None:
    histogram = ray_metrics.Histogram("p_histogram", boundaries=[1, 10])
    for value in (0.5, 1, 5, 10, 11):
        histogram.observe(value)
    assert stored("p_histogram") == [[[], 27.5, [2, 2, 1]]]


def test_who_makes_a_metric_again_goes_on_counting() -> None:
    for _ in range(2):
        ray_metrics.Counter("p_again", tag_keys=("k",)).inc(tags={"k": "v"})
    assert stored("p_again") == [[["v"], 2.0, []]]


def test_threads_lose_nothing() -> None:
    counter = ray_metrics.Counter("p_threads")
    histogram = ray_metrics.Histogram("p_threads_h", boundaries=[1])

    def work() -> None:
        for _ in range(5000):
            counter.inc()
            histogram.observe(2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored("p_threads") == [[[], 40000.0, []]]
    assert stored("p_threads_h") == [[[], 80000.0, [0, 40000]]]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ray_metrics.Counter(""), ValueError, "Empty name is not allowed. Please provide a metric name."),
        (lambda: ray_metrics.Counter("x", tag_keys=["a"]), TypeError, "tag_keys should be a tuple type, got:"),
        (lambda: ray_metrics.Counter("x", tag_keys=(1,)), TypeError, "Tag keys must be str, got"),
        (lambda: ray_metrics.Counter("x").inc("1"), TypeError, "value must be int or float, got"),
        (lambda: ray_metrics.Counter("x").inc(0), ValueError, "value must be >0, got 0"),
        (lambda: ray_metrics.Gauge("x").set("1"), TypeError, "value must be int or float, got"),
        (lambda: ray_metrics.Histogram("x"), ValueError, "boundaries argument should be provided"),
        (lambda: ray_metrics.Histogram("x", boundaries=[1, 0]), ValueError, "Invalid `boundaries` argument at index 1"),
        (lambda: ray_metrics.Histogram("x", boundaries=[1]).observe(None), TypeError, "value must be int or float"),
        (lambda: ray_metrics.Gauge("x").set_default_tags({"a": "1"}), ValueError, "Unrecognized tag key a."),
        (
            lambda: ray_metrics.Gauge("x", tag_keys=("a",)).set_default_tags({"a": 1}),
            TypeError,
            "Tag values must be str, got <class 'int'>.",
        ),
        (lambda: ray_metrics.Gauge("x", tag_keys=("a", "b")).set(1), ValueError, r"Missing value for tag key(s): a,b."),
        (lambda: ray_metrics.Gauge("x", tag_keys=("a",)).set(1, tags={"a": 1}), TypeError, "Tag values must be str"),
        (lambda: metrics.Counter("x", tag_keys=("a",)).inc(tags={"zzz": "1"}), ValueError, "Unrecognized tag key zzz."),
    ],
)
def test_bad_input_is_refused_in_rays_words(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        make()


def test_a_name_that_prometheus_does_not_take_is_discarded() -> None:
    with pytest.warns(UserWarning, match="Invalid metric name: bad name. Metric will be discarded"):
        counter = ray_metrics.Counter("bad name")
    counter.inc()
    assert stored("bad name") == []


def test_a_metric_is_shipped_as_its_definition() -> None:
    made = metrics.Histogram("p_shipped", "d", [1.0, 2.0], ("a",))
    made.set_default_tags({"a": "1"})
    arrived = pickle.loads(pickle.dumps(made))
    assert arrived.info == made.info
    arrived.observe(1.5)
    assert stored("p_shipped") == [[["1"], 1.5, [0, 1, 0]]]


def test_the_rest_of_ray_util_says_that_it_is_not_there() -> None:
    with pytest.raises(NotImplementedError, match=r"ray\.util\.ActorPool"):
        ray.util.ActorPool  # noqa: B018
    assert not hasattr(ray.util, "Text"), "pickle asks every module for such names"


# ---- in replicas ----


def test_user_metrics_say_where_they_were_counted(deploy: Deployer) -> None:
    app = deploy(Metered.bind())
    for _ in range(3):
        app.get("/")
    app.get("/?kind=odd&gauge=42&observe=50")
    (replica,) = app.details("Metered")["replicas"]
    where = {"deployment": "Metered", "application": app.name, "replica": replica["replica_id"]}
    assert total("ray_t_counter_total", kind="odd", **where) == 1
    assert total("ray_t_counter_total", kind="plain", **where) == 3
    for labels, _ in samples("ray_t_counter_total"):
        assert {"Component", "NodeAddress", "SessionName", "Version", "WorkerId"} <= labels.keys()
    assert total("ray_t_gauge", **where) == 42
    assert total("ray_t_histogram_count", **where) == 4
    assert total("ray_t_histogram_sum", **where) == 65
    assert total("ray_t_histogram_bucket", le="10", **where) == 3
    assert total("ray_t_histogram_bucket", le="+Inf", **where) == 4
    assert total("ray_t_routed_total", route=f"/{app.name}", **where) == 4
    assert "# HELP ray_t_counter_total Counts." in page()
    assert "# TYPE ray_t_histogram histogram" in page()


def test_the_tags_of_serve_are_reserved(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    def tries() -> list[str]:
        refused = []
        for key in ("deployment", "replica", "application"):
            try:
                metrics.Counter("t_reserved", tag_keys=(key,))
            except ValueError as error:
                refused.append(str(error))
        return refused

    refused = deploy(tries.bind()).handle.remote().result()
    assert refused[0] == "'deployment' tag is reserved for Ray Serve metrics"
    assert len(refused) == 3


def test_what_a_replica_does_is_counted(deploy: Deployer) -> None:
    app = deploy(Metered.bind())
    for _ in range(2):
        app.get("/")
    assert app.get("/?fail=1").status_code == 500
    where = {"deployment": "Metered", "application": app.name, "route": f"/{app.name}"}
    assert total("ray_serve_deployment_request_counter_total", **where) == 2
    assert total("ray_serve_deployment_error_counter_total", exception_type="ValueError", **where) == 1
    assert total("ray_serve_deployment_processing_latency_ms_count", **where) == 3
    assert total("ray_serve_deployment_replica_healthy", deployment="Metered", application=app.name) == 1
    assert total("ray_serve_deployment_replica_starts_total", application=app.name) == 1
    assert total("ray_serve_replica_processing_queries", application=app.name) == 0
    assert total("ray_serve_deployment_status", application=app.name) == 6
    assert total("ray_serve_application_status", application=app.name) == 6


def test_what_the_proxy_does_is_counted(deploy: Deployer) -> None:
    app = deploy(Metered.bind())
    app.get("/")
    app.get("/?fail=1")
    requests.get(app.instance.url("/-/routes"), timeout=10)
    where = {"route": f"/{app.name}", "method": "GET", "application": app.name}
    assert total("ray_serve_num_http_requests_total", status_code="200", **where) == 1
    assert total("ray_serve_num_http_requests_total", status_code="500", **where) == 1
    assert total("ray_serve_num_http_error_requests_total", error_code="500", **where) == 1
    assert total("ray_serve_num_deployment_http_error_requests_total", deployment="Metered", **where) == 1
    assert total("ray_serve_http_request_latency_ms_count", **where) == 2
    assert total("ray_serve_num_http_requests_total", route="/-/routes") >= 1


def test_what_handles_do_is_counted(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    def plain() -> None: ...

    app = deploy(plain.bind())
    for _ in range(3):
        app.handle.remote().result()
    assert total("ray_serve_handle_request_counter_total", application=app.name, deployment="plain") == 3
    assert total("ray_serve_deployment_queued_queries", application=app.name) == 0


def test_batches_are_counted(deploy: Deployer) -> None:
    @serve.deployment(max_ongoing_requests=10, **QUICK)
    class Batched:
        @serve.batch(max_batch_size=4, batch_wait_timeout_s=5)
        async def double(self, values: list[int]) -> list[int]:
            return [2 * value for value in values]

        async def __call__(self, value: int) -> int:
            return await self.double(value)

    app = deploy(Batched.bind())
    responses = [app.handle.remote(i) for i in range(4)]
    assert [response.result() for response in responses] == [0, 2, 4, 6]
    where = {"function_name": "double", "deployment": "Batched", "application": app.name}
    assert total("ray_serve_batches_processed_total", **where) == 1
    assert total("ray_serve_actual_batch_size_sum", **where) == 4
    assert total("ray_serve_batch_utilization_percent_sum", **where) == 100
    assert total("ray_serve_batch_wait_time_ms_count", **where) == 1
    wait_until(lambda: total("ray_serve_batch_execution_time_ms_count", **where) == 1, "the batch has ended")


def test_models_are_counted(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Models:
        @serve.multiplexed(max_num_models_per_replica=1)
        async def load(self, model_id: str) -> str:
            return model_id

        async def __call__(self) -> str:
            return await self.load(serve.get_multiplexed_model_id())

    app = deploy(Models.bind())
    for model in ("a", "a", "b"):
        assert app.handle.options(multiplexed_model_id=model).remote().result() == model
    where = {"deployment": "Models", "application": app.name}
    assert total("ray_serve_multiplexed_get_model_requests_counter_total", **where) == 3
    assert total("ray_serve_multiplexed_models_load_counter_total", **where) == 2
    assert total("ray_serve_multiplexed_models_unload_counter_total", **where) == 1
    assert total("ray_serve_multiplexed_model_load_latency_ms_count", **where) == 2
    assert total("ray_serve_num_multiplexed_models", **where) == 1
    assert total("ray_serve_registered_multiplexed_model_id", model_id="a", **where) == 0
    assert total("ray_serve_registered_multiplexed_model_id", model_id="b", **where) == 1


# ---- what survives what ----


def replica_label(app: App) -> set[str]:
    return {has["replica"] for has, _ in samples("ray_t_counter_total") if has["application"] == app.name}


def test_a_replica_that_dies_takes_its_series_along(deploy: Deployer) -> None:
    app = deploy(Metered.options(num_replicas=1, health_check_period_s=0.2).bind())
    app.get("/")
    (dead,) = replica_label(app)
    with pytest.raises(ActorDiedError):
        app.handle.crash.remote().result()
    wait_until(lambda: app.get("/").status_code == 200, "another one serves")
    wait_until(lambda: replica_label(app) and dead not in replica_label(app), "the new one counts")


def test_a_replica_that_is_busy_is_shown_as_it_was(deploy: Deployer, tmp_path: Any) -> None:
    app = deploy(Metered.options(max_ongoing_requests=5).bind())
    app.get("/")
    assert total("ray_t_counter_total", application=app.name) == 1
    gate = tmp_path / "gate"
    blocked = app.handle.block.remote(str(gate))
    try:
        wait_until(
            lambda: total("ray_serve_num_ongoing_requests_at_replicas", application=app.name) == 1, "it is blocked"
        )
        assert total("ray_t_counter_total", application=app.name) == 1
    finally:
        gate.touch()
    blocked.result()


def test_the_controller_may_die(deploy: Deployer) -> None:
    app = deploy(Metered.bind())
    app.get("/")
    controller = _controller_pid()
    os.kill(controller, signal.SIGKILL)
    wait_until(lambda: _controller_pid() not in (0, controller), "there is another controller")
    # The socket outlives it: who asks meanwhile waits instead of being refused.
    for name in ("ray_t_counter_total", "ray_serve_num_http_requests_total"):
        wait_until(lambda name=name: total(name, application=app.name) == 1, "they have come back")  # type: ignore[misc]


def _controller_pid() -> int:
    running = processes_of(os.environ["PENSTOCK_HOME"]).items()
    return next((pid for pid, command in running if "penstock controller" in command), 0)


def test_a_port_that_is_taken_is_an_error() -> None:
    with own_home() as home:
        env = environment(PENSTOCK_HOME=home)
        port = free_port()
        penstock_command("start", "--head", "--metrics-export-port", str(port), env=env)
        try:
            page(port)
            second = penstock_command(
                *("start", "--head", "--port", "7000", "--metrics-export-port", str(port)), env=env, check=False
            )
            assert second.returncode == 1
            assert str(port) in second.stderr
            assert "in use" in second.stderr
        finally:
            penstock_command("stop", env=env)


def test_one_place_shows_the_whole_instance() -> None:
    done = penstock_command("start", "--address", "127.0.0.1:1", "--metrics-export-port", "8080", check=False)
    assert done.returncode == 1
    assert "--metrics-export-port is for --head" in done.stderr
