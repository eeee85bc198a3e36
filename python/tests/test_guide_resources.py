"""The guide, line by line: what each replica reserves on one node, and what it is given for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from conftest import App, Deployer
from instances import Instance, embedded, node_rows
from probes import QUICK, Probe
from ray import serve
from waiting import wait_until

GIB = 1 << 30


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(
        num_cpus=8,
        num_gpus=4,
        resources={"HPU": 4, "TPU": 4, "widget": 3, "accelerator_type:T4": 1},
        labels={"zone": "a", "tier": "fast"},
        object_store_memory=2 * GIB,
        _memory=8 * GIB,
    ) as running:
        yield running


def probe(**ray_actor_options: Any) -> serve.Deployment:
    return Probe.options(ray_actor_options=ray_actor_options)


def seen(app: App) -> dict[str, Any]:
    """What the only replica of the application sees."""
    view: dict[str, Any] = app.handle.remote().result()
    return view


def views(deploy: Deployer, demands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Deploys one replica after another, each with such options; what each sees."""
    targets = [serve.RunTarget(probe(**options).bind(), deploy.name(), None) for options in demands]
    return [handle.remote().result() for handle in serve.run_many(targets)]


def given_devices(deploy: Deployer, demands: list[float], **more: Any) -> list[str]:
    """CUDA_VISIBLE_DEVICES of replicas that came one after another, each with so many GPUs."""
    seen_by_each = views(deploy, [{"num_gpus": gpus, **more} for gpus in demands])
    return [view["env"]["CUDA_VISIBLE_DEVICES"] for view in seen_by_each]


def pending_reason(app: App, deployment: str = "Probe") -> str:
    """Why the application's replica waits, from the first moment on."""
    (replica,) = app.details(deployment)["replicas"]
    assert replica["state"] == "STARTING"
    assert replica["pid"] is None
    return str(replica["pending"]["reason"])


# ---- by default, each replica reserves one CPU ----


def test_each_replica_reserves_one_cpu_and_status_shows_it(deploy: Deployer, instance: Instance) -> None:
    assert ray.cluster_resources()["CPU"] == ray.available_resources()["CPU"] == 8
    assert node_rows(instance.status_text())["head", "CPU"] == ("8", "0", "8")
    app = deploy(Probe.options(num_replicas=3).bind())
    assert seen(app)["assigned"] == {"CPU": 1}
    assert ray.available_resources()["CPU"] == 5
    assert ray.cluster_resources()["CPU"] == 8
    text = instance.status_text()
    assert node_rows(text)["head", "CPU"] == ("8", "3", "5")
    rows = [line.split() for line in text.splitlines() if "RUNNING" in line.split()]
    assert [row[1:6] for row in rows if row[2] == "head"] == [
        ["RUNNING", "head", str(replica["pid"]), "CPU", "1"] for replica in app.details("Probe")["replicas"]
    ]
    deploy.delete_all()
    assert node_rows(instance.status_text())["head", "CPU"] == ("8", "0", "8")
    assert ray.available_resources()["CPU"] == 8


# ---- accelerators ----


def test_num_gpus_gives_a_device_of_its_own(deploy: Deployer) -> None:
    app = deploy(probe(num_gpus=1).bind())
    view = seen(app)
    assert view["env"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert view["gpu_ids"] == [0]
    assert view["accelerators"]["GPU"] == ["0"]
    assert view["assigned"] == {"CPU": 1, "GPU": 1}
    assert ray.available_resources()["GPU"] == 3
    (replica,) = app.details("Probe")["replicas"]
    assert replica["devices"] == {"GPU": [{"id": "0", "share": 1.0}]}


def test_another_kind_of_accelerator_has_its_own_variable(deploy: Deployer, instance: Instance) -> None:
    view = seen(deploy(probe(resources={"HPU": 1}).bind()))
    assert view["env"]["HABANA_VISIBLE_MODULES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in view["env"]
    assert view["accelerators"]["HPU"] == ["0"]
    assert node_rows(instance.status_text())["head", "HPU"] == ("4", "1", "3")
    assert "HABANA_VISIBLE_MODULES=0 [assigned HPU 0]" in instance.status_text()


def test_without_devices_the_variables_stay_as_they_are(deploy: Deployer) -> None:
    view = seen(deploy(Probe.bind()))
    assert "CUDA_VISIBLE_DEVICES" not in view["env"]
    assert view["gpu_ids"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_gpus": 1.5}, "GPU resource quantities >1 must"),
        ({"num_gpus": 2.25}, "The specified quantity 2.25 is invalid"),
    ],
)
def test_more_than_one_gpu_must_be_whole(deploy: Deployer, options: dict[str, Any], words: str) -> None:
    app = deploy(probe(**options).bind(), wait=False)
    wait_until(lambda: app.status() == "DEPLOY_FAILED", "such an amount cannot be had")
    assert words in app.details("Probe")["message"]


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"HPU": 0.5},
            "HPU resource quantity must be whole numbers. The specified quantity 0.5 is invalid.",
        ),
        ({"TPU": 1.5}, "not a supported chip configuration. Supported configs: (1, 2, 4, 8)"),
        ({"TPU": 3}, "not a supported chip configuration. Supported configs: (1, 2, 4, 8)"),
    ],
)
def test_families_that_have_no_fractions(resources: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match="(?i)" + "must be whole numbers|supported chip") as refused:
        probe(resources=resources)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("demands", "devices"),
    [
        ([0.5, 0.5, 0.4, 0.4, 0.2], ["0", "0", "1", "1", "1"]),
        ([0.3, 0.6, 0.6, 0.4], ["0", "0", "1", "1"]),
        ([0.5, 0.7, 0.3, 0.5], ["0", "1", "1", "0"]),  # the third: best fit, not first fit
        ([0.5, 1, 2, 0.5], ["0", "1", "2,3", "0"]),
        ([2, 0.9, 0.9], ["0,1", "2", "3"]),
        ([0.34, 0.34, 0.34, 0.33], ["0", "0", "1", "1"]),
    ],
    ids=str,
)
def test_fractions_go_to_the_device_they_fit_best(deploy: Deployer, demands: list[float], devices: list[str]) -> None:
    assert given_devices(deploy, demands, num_cpus=0) == devices


def test_what_fits_in_sum_but_on_no_device_waits(deploy: Deployer) -> None:
    assert given_devices(deploy, [0.6] * 4, num_cpus=0) == ["0", "1", "2", "3"]
    app = deploy(probe(num_gpus=0.5).bind(), wait=False)
    assert ray.available_resources()["GPU"] == pytest.approx(1.6)
    assert "GPU" in pending_reason(app)


# ---- fractions ----


def test_two_deployments_share_one_gpu(deploy: Deployer, instance: Instance) -> None:
    assert given_devices(deploy, [0.5, 0.5]) == ["0", "0"]
    assert node_rows(instance.status_text())["head", "GPU"] == ("4", "1", "3")
    assert "GPU 0 x0.5" in instance.status_text()


def test_two_deployments_share_one_cpu(deploy: Deployer, instance: Instance) -> None:
    both = views(deploy, [{"num_cpus": 0.5}, {"num_cpus": 0.5}])
    assert [view["assigned"] for view in both] == [{"CPU": 0.5}] * 2
    assert node_rows(instance.status_text())["head", "CPU"] == ("8", "1", "7")


def test_amounts_are_cut_to_four_decimals(deploy: Deployer) -> None:
    asked = [1.23456, 0.0001, 0.00019, 0.0003]
    each = views(deploy, [{"num_cpus": 0, "resources": {"widget": amount}} for amount in asked])
    assert [view["assigned"]["widget"] for view in each] == [1.2345, 0.0001, 0.0001, 0.0003]
    assert ray.available_resources()["widget"] == pytest.approx(3 - 1.235, abs=1e-9)


# ---- the options of ray_actor_options, one by one ----


def test_accelerator_type(deploy: Deployer) -> None:
    view = seen(deploy(probe(accelerator_type="T4").bind()))
    assert view["assigned"] == {"CPU": 1, "accelerator_type:T4": 0.001}
    app = deploy(probe(accelerator_type="H100").bind(), wait=False)
    assert "accelerator_type:H100" in pending_reason(app)
    assert app.status() == "DEPLOYING"


def test_memory_is_reserved_in_bytes(deploy: Deployer, instance: Instance) -> None:
    app = deploy(probe(memory=3 * GIB + 0.7).bind())
    assert seen(app)["assigned"] == {"CPU": 1, "memory": 3 * GIB}
    assert ray.available_resources()["memory"] == 5 * GIB
    assert node_rows(instance.status_text())["head", "memory"] == ("8 GiB", "3 GiB", "5 GiB")
    late = deploy(probe(memory=6 * GIB).bind(), wait=False)
    assert "memory" in pending_reason(late)


def test_object_store_memory_is_accepted_and_accounted(deploy: Deployer, instance: Instance) -> None:
    app = deploy(probe(object_store_memory=GIB).bind())
    assert seen(app)["assigned"] == {"CPU": 1, "object_store_memory": GIB}
    assert ray.available_resources()["object_store_memory"] == GIB
    rows = node_rows(instance.status_text())
    assert rows["head", "object_store_memory"] == ("2 GiB", "1 GiB", "1 GiB")


def test_num_cpus(deploy: Deployer) -> None:
    some, none, unsaid = views(deploy, [{"num_cpus": 2.5}, {"num_cpus": 0}, {"num_cpus": None}])
    assert some["assigned"] == {"CPU": 2.5}
    assert none["assigned"] == {}
    assert unsaid["assigned"] == {"CPU": 1}
    assert ray.available_resources()["CPU"] == 4.5


def test_resources(deploy: Deployer, instance: Instance) -> None:
    view = seen(deploy(probe(resources={"widget": 1.5, "HPU": 2}).bind()))
    assert view["assigned"] == {"CPU": 1, "HPU": 2, "widget": 1.5}
    assert view["env"]["HABANA_VISIBLE_MODULES"] == "0,1"
    assert node_rows(instance.status_text())["head", "widget"] == ("3", "1.5", "1.5")


def test_a_replica_starts_the_moment_what_it_waits_for_is_freed(deploy: Deployer) -> None:
    holder = deploy(probe(resources={"widget": 2}).bind())
    late = deploy(probe(resources={"widget": 2}).bind(), wait=False)
    assert "widget" in pending_reason(late)
    assert late.status() == "DEPLOYING"
    serve.delete(holder.name)
    assert seen(late)["assigned"] == {"CPU": 1, "widget": 2}


def test_runtime_env_variables(deploy: Deployer) -> None:
    env = {"env_vars": {"MODE": "test", "PATH_LIKE": "a:b"}}
    view = seen(deploy(probe(runtime_env=env).bind()))
    assert (view["env"]["MODE"], view["env"]["PATH_LIKE"]) == ("test", "a:b")


def test_runtime_env_working_dir(deploy: Deployer, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("weights")
    (tmp_path / "beside_me.py").write_text("ANSWER = 42\n")

    @serve.deployment(ray_actor_options={"runtime_env": {"working_dir": str(tmp_path)}}, **QUICK)
    class Reader:
        def __call__(self) -> tuple[str, int]:
            import beside_me

            return Path("model.txt").read_text(), beside_me.ANSWER

    app = deploy(Reader.bind())
    (tmp_path / "model.txt").write_text("edited after the deploy")
    assert app.handle.remote().result() == ("weights", 42)


def test_runtime_env_py_modules(deploy: Deployer, tmp_path: Path) -> None:
    package = tmp_path / "shipped_package"
    package.mkdir()
    (package / "__init__.py").write_text("NAME = 'shipped'\n")

    @serve.deployment(ray_actor_options={"runtime_env": {"py_modules": [str(package)]}}, **QUICK)
    def importer() -> str:
        import shipped_package

        return str(shipped_package.NAME)

    assert deploy(importer.bind()).handle.remote().result() == "shipped"


def test_label_selectors_that_the_node_matches(deploy: Deployer) -> None:
    selectors = [
        {"zone": "a"},
        {"zone": "a", "tier": "fast"},
        {"zone": "!b"},
        {"zone": "in(a,b)"},
        {"zone": "!in(c,d)", "unheard-of": "!x"},
    ]
    assert len(views(deploy, [{"label_selector": selector} for selector in selectors])) == len(selectors)


@pytest.mark.parametrize(
    "selector",
    [
        {"zone": "b"},
        {"zone": "!a"},
        {"zone": "in(b,c)"},
        {"unheard-of": "x"},
        {"zone": "a", "tier": "slow"},
    ],
    ids=str,
)
def test_a_label_selector_that_no_node_matches(deploy: Deployer, selector: dict[str, str]) -> None:
    app = deploy(probe(label_selector=selector).bind(), wait=False)
    label = list(selector)[-1]
    assert label in pending_reason(app)


def test_a_fallback_takes_over_where_no_node_matches(deploy: Deployer) -> None:
    options = {
        "label_selector": {"zone": "b"},
        "fallback_strategy": [{"label_selector": {"zone": "a"}}],
    }
    assert seen(deploy(probe(**options).bind()))["pid"] > 0


def test_max_replicas_per_node(deploy: Deployer) -> None:
    app = deploy(Probe.options(num_replicas=3, max_replicas_per_node=2).bind(), wait=False)
    wait_until(lambda: app.running("Probe") == 2, "two may run")
    states = [replica["state"] for replica in app.details("Probe")["replicas"]]
    assert sorted(states) == ["RUNNING", "RUNNING", "STARTING"]
    assert app.status() == "DEPLOYING"
