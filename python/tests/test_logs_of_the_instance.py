"""``serve.start(logging_config=...)``: the proxy, and applications that do not say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Deployer
from instances import Instance, embedded
from probes import QUICK
from ray import serve
from waiting import wait_until


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=4) as running:
        yield running


@serve.deployment(**QUICK)
def silent() -> None:
    """Has nothing to say."""


def line_with(path: Path, text: str) -> str:
    def found() -> list[str]:
        return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []

    return wait_until(found, f"a line with {text!r} in {path}")[-1]


def test_it_is_that_of_the_proxy_and_of_who_does_not_say(deploy: Deployer, tmp_path: Path) -> None:
    serve.start(logging_config={"encoding": "JSON", "logs_dir": str(tmp_path)})
    app = deploy(silent.bind())
    app.get("/", headers={"x-request-id": "seen"})
    line = json.loads(line_with(tmp_path / "proxy_access.log", "seen"))
    assert line["component_name"] == "proxy"
    assert line["application"] == app.name
    assert line["message"].startswith(f"GET /{app.name} 200 ")
    (path,) = tmp_path.glob(f"replica_{app.name}_silent_*.log")
    assert json.loads(line_with(path, "seen"))["application"] == app.name
    own = deploy(silent.options(logging_config={"enable_access_log": False}).bind())
    own.get("/")
    assert list(tmp_path.glob(f"replica_{own.name}_*")) == []


def test_a_change_is_live_at_the_proxy(deploy: Deployer, tmp_path: Path) -> None:
    serve.start(logging_config={"logs_dir": str(tmp_path)})
    app = deploy(silent.bind())
    app.get("/", headers={"x-request-id": "first"})
    log = tmp_path / "proxy_access.log"
    assert "first -- GET" in line_with(log, "first")
    serve.start(logging_config={"logs_dir": str(tmp_path), "enable_access_log": False})
    app.get("/", headers={"x-request-id": "second"})
    serve.start(logging_config={"logs_dir": str(tmp_path)})
    app.get("/", headers={"x-request-id": "third"})
    line_with(log, "third")
    assert "second" not in log.read_text()
