"""Instances that cannot be had: amounts, labels, addresses, and a port that is taken."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from instances import PENSTOCK, embedded, environment, own_home, processes_of, run_script
from ray import serve
from waiting import wait_until


@pytest.fixture(autouse=True)
def _disconnected() -> Iterator[None]:
    """Each test starts without an instance, and leaves none."""
    assert not ray.is_initialized()
    yield
    ray.shutdown()


@pytest.mark.parametrize(
    ("kind", "node", "words"),
    [
        (ValueError, {"num_gpus": 1.5}, "must all be whole numbers. Violated by resource 'GPU'"),
        (
            ValueError,
            {"resources": {"foo": 1.5}},
            "Resource quantities must all be whole numbers. Violated by resource 'foo'",
        ),
        (ValueError, {"resources": {"foo": -1}}, "nonnegative"),
        (ValueError, {"num_cpus": -1}, "nonnegative"),
        (ValueError, {"resources": {"foo": 1e15}}, "100000000000000"),
        (ValueError, {"resources": {"CPU": 1}}, "Use the 'num_cpus' and 'num_gpus' keyword"),
        (ValueError, {"resources": {"node:__internal_head__": 1}}, "node:__internal_head__"),
        (ValueError, {"labels": {"ray.io/own": "x"}}, "ray.io/"),
        (ValueError, {"labels": {"bad key": "x"}}, "Invalid label key name"),
        (TypeError, {"num_cpus": "two"}, "num_cpus must be a number, got 'two'"),
        (TypeError, {"resources": ["foo"]}, "resources"),
        (TypeError, {"resources": {"foo": "one"}}, "foo"),
        (TypeError, {"labels": "a=b"}, "labels"),
        (TypeError, {"namespace": 3}, "namespace must be None or a string."),
        (ValueError, {"namespace": ""}, '"" is not a valid namespace.'),
        (TypeError, {"runtime_env": "x"}, "runtime_env"),
        (NotImplementedError, {"runtime_env": {"pip": ["torch"]}}, "runtime_env['pip']"),
        (NotImplementedError, {"runtime_env": {"conda": "x"}}, "runtime_env['conda']"),
        (NotImplementedError, {"local_mode": True}, "local_mode"),
        (RuntimeError, {"unheard_of": 1}, "Unknown keyword argument(s): unheard_of"),
    ],
    ids=str,
)
def test_ray_init_refuses(kind: type[Exception], node: dict[str, Any], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        ray.init(**{"num_cpus": 1, **node})
    assert not ray.is_initialized()
    assert not processes_of(os.environ["PENSTOCK_HOME"])


@pytest.mark.parametrize(
    ("kind", "address", "words"),
    [
        (ConnectionError, "127.0.0.1:6399", "no Penstock instance is running at '127.0.0.1:6399'"),
        (ConnectionError, "auto", "Could not find any running Ray instance."),
        (ConnectionError, "/tmp/no/such/folder", "/tmp/no/such/folder"),
        (RuntimeError, "192.0.2.1:6379", "need the ray engine"),
        (TypeError, 6379, "address must be a string"),
        (ValueError, "127.0.0.1:port", "neither a folder nor HOST:PORT"),
    ],
)
def test_addresses_where_nothing_runs(kind: type[Exception], address: Any, words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        ray.init(address=address)
    assert not ray.is_initialized()


def test_starting_twice_is_refused_or_ignored() -> None:
    with embedded(num_cpus=1):
        with pytest.raises(RuntimeError, match="ignore_reinit_error=True"):
            ray.init(num_cpus=2)
        ray.init(num_cpus=2, ignore_reinit_error=True)
        assert ray.cluster_resources()["CPU"] == 1


@pytest.mark.parametrize("ask", [ray.cluster_resources, ray.available_resources, ray.nodes])
def test_nothing_to_ask_before_it_is_started(ask: Any) -> None:
    with pytest.raises(ConnectionError, match=r"ray\.init"):
        ask()


def test_serve_without_an_instance() -> None:
    assert serve.status().applications == {}
    assert serve.status().proxies == {}
    serve.shutdown()
    serve.delete("nobody")
    assert not ray.is_initialized()


@pytest.mark.parametrize("old", ["http_host", "http_port", "http_middlewares"])
def test_removed_arguments_of_start(old: str) -> None:
    with pytest.raises(ValueError, match=old):
        serve.start(**{old: "x"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": "many"}, "http_options.port"),
        ({"port": -1}, "http_options.port"),
        ({"host": 5}, "http_options.host"),
        ({"keep_alive_timeout_s": 0}, "keep_alive_timeout_s"),
        ({"middlewares": ["mine"]}, "middlewares"),
        ({"num_cpus": 1}, "num_cpus"),
        ({"ssl_certfile": "/cert"}, "ssl_certfile"),
    ],
    ids=str,
)
def test_http_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        serve.start(http_options=options)
    assert not processes_of(os.environ["PENSTOCK_HOME"])


# The port is taken: the script learns it at once, and nothing of it is left while it lives on.
PORT_TAKEN = """
import sys
from ray import serve

try:
    serve.start(http_options={"port": PORT})
except RuntimeError as error:
    print(error, flush=True)
sys.stdin.read()
"""


def test_a_port_in_use_is_a_clear_error_and_leaves_nothing_running(tmp_path: Path) -> None:
    with own_home() as home, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "script.py").write_text(PORT_TAKEN.replace("PORT", str(port)))
        with subprocess.Popen(
            [PENSTOCK, "python", "script.py"],
            cwd=tmp_path,
            env=environment(PENSTOCK_HOME=home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as script:
            assert script.stdout is not None
            line = script.stdout.readline()
            assert f"Failed to bind to address '127.0.0.1:{port}'" in line
            wait_until(lambda: set(processes_of(home)) == {script.pid}, "only the script is left")
            script.communicate("")


def test_serve_run_says_so_too(tmp_path: Path) -> None:
    code = """
from ray import serve

serve.run(serve.deployment(lambda: "hi", name="hi").bind())
"""
    with own_home() as home, socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8000))  # the default
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good
        done = run_script(tmp_path, code, env=environment(PENSTOCK_HOME=home), check=False)
        assert done.returncode == 1
        assert "RuntimeError: Failed to bind to address '127.0.0.1:8000'" in done.stderr
        wait_until(lambda: not processes_of(home), "nothing is left")


def test_an_instance_whose_port_was_taken_goes_on() -> None:
    with embedded(num_cpus=1) as running, socket.socket() as taken:
        assert running.status()["cluster"]["nodes"][0]["alive"]
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        serve.start(http_options={"port": taken.getsockname()[1]})  # it listens already: ignored
        assert len(serve.status().proxies) == 1


def test_a_script_that_is_killed_takes_its_instance_with_it(tmp_path: Path) -> None:
    code = """
import sys
import ray
from ray import serve

ray.init(num_cpus=2)
serve.start(http_options={"port": 0})
serve.run(serve.deployment(lambda: "hi", name="hi").options(num_replicas=2).bind())
print("ready", flush=True)
sys.stdin.read()
"""
    (tmp_path / "script.py").write_text(code)
    with own_home() as home:
        with subprocess.Popen(
            [PENSTOCK, "python", "script.py"],
            cwd=tmp_path,
            env=environment(PENSTOCK_HOME=home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as script:
            assert script.stdout is not None
            assert script.stdout.readline() == "ready\n"
            assert sum("penstock._replica" in command for command in processes_of(home).values()) == 2
            script.kill()
        wait_until(lambda: not processes_of(home), "the instance ends with its script")
