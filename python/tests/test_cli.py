"""The command: start, stop, status, python, shim; nodes that come and go."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import requests
from conftest import Deployer
from instances import (
    PENSTOCK,
    SHIM,
    Instance,
    environment,
    free_port,
    node_rows,
    own_home,
    penstock_command,
    processes_of,
    run_script,
    started,
)
from probes import Gate, Held, Probe
from ray import serve
from waiting import in_background, wait_until


@pytest.fixture
def home() -> Iterator[str]:
    """A place where nothing runs yet."""
    with own_home() as folder:
        yield folder


def refused(*arguments: str, env: dict[str, str]) -> str:
    """What it says when it fails."""
    done = penstock_command(*arguments, env=env, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr + done.stdout


# ---- start, status, stop ----


def test_start_status_and_stop(home: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    words = penstock_command(
        "start",
        "--head",
        "--num-cpus=3",
        "--num-gpus=2",
        "--memory=2147483648",
        "--object-store-memory=1073741824",
        "--resources",
        '{"widget": 4}',
        "--labels=zone=a,tier=fast",
        "--node-name=first",
        env=env,
    ).stdout
    assert "Penstock runs at 127.0.0.1:6379" in words
    assert "penstock start --address=127.0.0.1:6379" in words
    text = penstock_command("status", env=env).stdout
    rows = node_rows(text)
    assert {resource: row for (_, resource), row in rows.items()} == {
        "CPU": ("3", "0", "3"),
        "GPU": ("2", "0", "2"),
        "memory": ("2 GiB", "0", "2 GiB"),
        "object_store_memory": ("1 GiB", "0", "1 GiB"),
        "widget": ("4", "0", "4"),
    }
    assert {node for node, _ in rows} == {"first"}
    assert "labels: tier=fast, zone=a" in text
    status = json.loads(penstock_command("status", "--json", env=env).stdout)
    (node,) = status["cluster"]["nodes"]
    assert (node["name"], node["is_head"], node["devices"]["GPU"]) == ("first", True, [1.0, 1.0])
    assert status["applications"] == {}

    assert "already running at 127.0.0.1:6379" in refused("start", "--head", env=env)
    assert penstock_command("stop", env=env).stdout == "stopped 127.0.0.1:6379\n"
    assert not processes_of(home)
    assert penstock_command("stop", env=env).stdout == "no instance is running\n"
    assert "penstock start --head" in refused("status", env=env)


def test_stop_waits_for_every_node(home: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    penstock_command("start", "--head", "--num-cpus=1", env=env)
    for _ in range(2):
        penstock_command("start", "--address=127.0.0.1:6379", "--num-cpus=1", env=env)
    penstock_command("stop", env=env)
    assert not processes_of(home)


def test_status_shows_where_the_proxy_listens(home: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    penstock_command("start", "--head", "--num-cpus=1", env=env)
    start = "from penstock import serve; serve.start(http_options={'host': '127.0.0.1', 'port': 0})"
    subprocess.run([sys.executable, "-c", start], env=env, check=True, timeout=60)
    shown = re.compile(r"proxy on head: HEALTHY, listens at 127\.0\.0\.1:(\d+)")
    found = wait_until(lambda: shown.search(penstock_command("status", env=env).stdout), "the proxy is there")
    assert requests.get(f"http://127.0.0.1:{found[1]}/-/healthz", timeout=10).headers["server"] == "penstock"
    penstock_command("stop", env=env)


def test_what_start_refuses(home: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    assert "--head or --address" in refused("start", env=env)
    assert "--head or --address" in refused("start", "--head", "--address=127.0.0.1:1", env=env)
    head = ("start", "--head")
    assert "--resources" in refused(*head, "--resources", "widget: 1", env=env)
    assert "'widget'" in refused(*head, "--resources", '{"widget": "one"}', env=env)
    assert "whole numbers" in refused(*head, "--resources", '{"widget": 1.5}', env=env)
    assert "KEY=VALUE" in refused(*head, "--labels=zone", env=env)
    assert "ray.io/" in refused(*head, "--labels=ray.io/zone=a", env=env)
    assert "--num-cpus" in refused(*head, "--num-cpus=two", env=env)
    assert "--port" in refused(*head, "--port=70000", env=env)
    assert "--colour" in refused(*head, "--colour=blue", env=env)
    assert "no Penstock instance" in refused("start", "--address=127.0.0.1:6379", env=env)
    assert not processes_of(home)


@pytest.mark.parametrize("verb", ["start", "status", "stop"])
def test_another_host_is_refused_with_a_pointer_to_the_ray_engine(home: str, verb: str) -> None:
    words = refused(verb, "--address=192.0.2.1:6379", env=environment(PENSTOCK_HOME=home))
    assert "'192.0.2.1:6379' is on another host" in words
    assert "ray engine" in words


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM", "stop"])
def test_start_block_stays_until_it_is_ended(home: str, stop: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    with subprocess.Popen(
        [PENSTOCK, "start", "--head", "--block", "--num-cpus=1"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's signal goes to the whole group
    ) as process:
        assert process.stdout is not None
        assert "Penstock runs at 127.0.0.1:6379" in process.stdout.readline()
        assert process.poll() is None
        if stop == "stop":
            penstock_command("stop", env=env)
        else:
            os.killpg(process.pid, signal.Signals[stop])
        process.wait(timeout=20)
    wait_until(lambda: not processes_of(home), "all of it has ended")


def test_a_terminated_block_takes_its_instance_along(home: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    with subprocess.Popen(
        [PENSTOCK, "start", "--head", "--block", "--num-cpus=1"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()  # as a service manager does: this process alone
        process.wait(timeout=20)
    wait_until(lambda: not processes_of(home), "all of it has ended", timeout_s=3)


def test_two_instances_side_by_side(home: str) -> None:
    env = environment(PENSTOCK_HOME=home)
    penstock_command("start", "--head", "--port=7001", "--num-cpus=1", env=env)
    penstock_command("start", "--head", "--port=7002", "--num-cpus=2", env=env)
    for port, cpus in (("7001", "1"), ("7002", "2")):
        text = penstock_command("status", f"--address=127.0.0.1:{port}", env=env).stdout
        assert node_rows(text)["head", "CPU"] == (cpus, "0", cpus)
    assert penstock_command("stop", "--address=127.0.0.1:7001", env=env).stdout == "stopped 127.0.0.1:7001\n"
    assert "127.0.0.1:7001" in refused("status", "--address=127.0.0.1:7001", env=env)
    text = penstock_command("status", env={**env, "PENSTOCK_ADDRESS": "127.0.0.1:7002"}).stdout
    assert node_rows(text)["head", "CPU"] == ("2", "0", "2")
    penstock_command("stop", env=env)
    assert not processes_of(home)


# ---- python, shim ----


def test_shim_is_the_folder_that_makes_import_ray_work() -> None:
    folder = penstock_command("shim").stdout.strip()
    assert Path(folder).samefile(SHIM)
    code = "import ray, ray.serve, penstock.serve; print(ray.serve.run is penstock.serve.run)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(PYTHONPATH=folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_python_passes_arguments_and_the_exit_status_on(tmp_path: Path) -> None:
    code = "import sys, ray; print(ray.__version__); print(sys.argv[1:]); sys.exit(7)"
    (tmp_path / "script.py").write_text(code)
    arguments = ["python", "script.py", "--flag", "a b", "-c", "--"]
    done = subprocess.run(
        [PENSTOCK, *arguments],
        cwd=tmp_path,
        env=environment(PYTHONPATH="/somewhere"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    version, arguments_seen = done.stdout.splitlines()
    assert version.startswith("2.60.0+penstock.")
    assert arguments_seen == str(arguments[2:])
    assert done.returncode == 7


def test_a_script_uses_the_instance_that_runs(home: str, tmp_path: Path) -> None:
    env = environment(PENSTOCK_HOME=home)
    penstock_command("start", "--head", "--num-cpus=3", env=env)
    code = f"""
import os, ray
from ray import serve

serve.start(http_options={{"port": {free_port()}}})
serve.run(serve.deployment(lambda: "from a script", name="f").bind(), name="app")
print(ray.is_initialized(), ray.cluster_resources()["CPU"])
"""
    assert run_script(tmp_path, code, env=env).stdout == "True 3.0\n"
    # The script has ended; what it deployed lives on, and the next one finds it.
    look = 'import ray\nfrom ray import serve\nray.init(address="auto")\n'
    look += 'print(serve.get_app_handle("app").remote().result())\n'
    assert run_script(tmp_path, look, env=env).stdout == "from a script\n"
    assert "application app /: RUNNING" in penstock_command("status", env=env).stdout
    other = "import ray\nray.init(num_cpus=1)\n"
    assert "must not be provided" in run_script(tmp_path, other, env=env, check=False).stderr
    own = 'import ray\nray.init(address="local", num_cpus=1)\nprint(ray.cluster_resources()["CPU"])\n'
    assert run_script(tmp_path, own, env=env).stdout == "1.0\n"
    penstock_command("stop", env=env)


def test_what_the_shim_leaves_out_says_so() -> None:
    for name in ("remote", "get_actor", "wait", "kill", "data"):
        with pytest.raises(NotImplementedError, match=f"ray.{name}"):
            getattr(ray, name)
    assert not hasattr(ray, "no_such_thing")


# ---- nodes and processes that go ----


@pytest.fixture
def instance() -> Iterator[Instance]:
    with started("--num-cpus=4") as running:
        yield running


def process_of_ours(pattern: str) -> int:
    """The process whose command has the pattern; 0 when there is none now."""
    for pid, command in processes_of(os.environ["PENSTOCK_HOME"]).items():
        if re.search(pattern, command):
            return pid
    return 0


def proxy_of(instance: Instance) -> int:
    """The proxy, once there is one that is wholly started."""
    return wait_until(lambda: process_of_ours(r"penstock proxy "), f"{instance.address} has one")


def test_replicas_of_a_killed_node_are_replaced_on_others(deploy: Deployer, instance: Instance) -> None:
    node = instance.add_node("--num-cpus=4", "--labels=zone=b")
    app = deploy(Probe.options(num_replicas=2).bind())  # one on each
    replicas = {replica["node_id"]: replica for replica in app.details("Probe")["replicas"]}
    assert set(replicas) == {node.id, *instance.alive_nodes()}
    stranded = deploy(Probe.options(name="Stranded", ray_actor_options={"label_selector": {"zone": "b"}}).bind())
    instance.end_node(node, signal.SIGKILL)
    assert ray.cluster_resources()["CPU"] == 4
    assert node.id not in {n["NodeID"] for n in ray.nodes() if n["Alive"]}

    wait_until(lambda: app.status() == "RUNNING", "the head has room")
    after = app.details("Probe")["replicas"]
    assert {replica["node_id"] for replica in after} == instance.alive_nodes()
    assert replicas[after[0]["node_id"]]["pid"] in {replica["pid"] for replica in after}
    assert app.get().status_code == 200

    (waiting,) = stranded.details("Stranded")["replicas"]
    assert waiting["state"] == "STARTING"
    assert "zone" in waiting["pending"]["reason"]
    pids = [replicas[node.id]["pid"]]
    wait_until(lambda: not set(pids) & set(processes_of(os.environ["PENSTOCK_HOME"])), "none is left")

    instance.add_node("--num-cpus=1", "--labels=zone=b")
    wait_until(lambda: stranded.status() == "RUNNING", "there is such a node again")


def test_a_node_that_is_ended_takes_its_replicas_with_it(deploy: Deployer, instance: Instance) -> None:
    node = instance.add_node("--num-cpus=1", "--resources", '{"only_here": 1}')
    held = Held.options(ray_actor_options={"resources": {"only_here": 1}})
    app = deploy(held.bind(Gate.bind()))
    (replica,) = app.details("Held")["replicas"]
    assert replica["node_id"] == node.id
    reply = in_background(app.get)
    wait_until(lambda: app.of("Gate").count.remote().result() == 1, "a request is under way there")
    instance.end_node(node)
    assert reply.result(timeout=20).status_code == 500
    wait_until(lambda: replica["pid"] not in processes_of(os.environ["PENSTOCK_HOME"]), "it has ended")
    wait_until(lambda: app.details("Held")["replicas"], "another one is to take its place")
    (waiting,) = app.details("Held")["replicas"]
    assert "only_here" in waiting["pending"]["reason"]
    assert app.status() != "RUNNING"


def test_a_node_that_is_gone_is_shown_as_such(instance: Instance) -> None:
    node = instance.add_node("--num-cpus=1")
    instance.end_node(node, signal.SIGKILL)
    assert f"{node.name} (gone)" in instance.status_text()
    assert {n["NodeID"]: n["Alive"] for n in ray.nodes()}[node.id] is False


def test_a_node_does_not_get_the_name_of_another(instance: Instance) -> None:
    first = instance.add_node("--num-cpus=1")
    instance.add_node("--num-cpus=1")
    instance.end_node(first)
    instance.add_node("--num-cpus=1")
    alive = [node for node in ray.nodes() if node["Alive"]]
    assert len({node["NodeName"] for node in alive}) == 3
    assert len({node["NodeManagerAddress"] for node in alive}) == 3


def test_a_controller_that_is_killed_comes_back_and_traffic_goes_on(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Probe.bind())
    before = app.handle.remote().result()["pid"]

    def controller() -> int:
        return process_of_ours(r"penstock controller ")

    killed = controller()
    os.kill(killed, signal.SIGKILL)
    assert app.get().json()["pid"] == before
    wait_until(lambda: controller() not in (0, killed), "another one takes over")
    look = ("status", "--address", instance.address)
    wait_until(lambda: penstock_command(*look, check=False).returncode == 0, "it answers")
    wait_until(lambda: app.status() == "RUNNING", "it knows again what runs")
    assert app.handle.remote().result()["pid"] == before


def test_a_proxy_that_is_killed_comes_back(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Probe.bind())
    before = app.get().json()["pid"]
    os.kill(proxy_of(instance), signal.SIGKILL)
    # The agent holds the listening socket: no connection is refused meanwhile.
    reply = wait_until(lambda: (r := app.get()).ok and r, "it knows its routes again")
    assert reply.json()["pid"] == before


def test_a_proxy_without_routes_does_not_deny_applications(deploy: Deployer, instance: Instance) -> None:
    app = deploy(Probe.bind())
    for _ in range(3):
        os.kill(proxy_of(instance), signal.SIGKILL)
        reply = app.get()
        assert reply.status_code in (200, 503), reply.text
        wait_until(lambda: app.get().ok, "it knows its routes again")


def test_shutdown_of_serve_leaves_the_instance(instance: Instance, deploy: Deployer) -> None:
    deploy(Probe.bind())
    serve.shutdown()
    assert serve.status().applications == {}
    assert serve.status().proxies == {}
    assert instance.alive_nodes()
    with pytest.raises(requests.ConnectionError):
        requests.get(instance.url(), timeout=10)
    serve.start(http_options={"port": instance.http_port})  # the same again, at once
    again = deploy(Probe.bind())
    assert again.status() == "RUNNING"
    assert again.get().ok
