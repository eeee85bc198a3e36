"""What replicas log: lines, their form, their request, and where they go."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import App, Deployer
from fastapi import FastAPI, WebSocket
from instances import Instance, embedded
from probes import QUICK
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from waiting import wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from penstock import _instance


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=16) as running:
        yield running


@serve.deployment(**QUICK)
class Talker:
    """Says what it is told to, at the level it is told, and where it comes from."""

    def __init__(self) -> None:
        self.logger = logging.getLogger("ray.serve")

    async def __call__(self, request: Request) -> str:
        """As the query says."""
        return self.say(request.query_params.get("text", "hello"), request.query_params.get("level", "INFO"))

    def say(self, text: str, level: str = "INFO") -> str:
        """On a thread when a handle calls it."""
        self.logger.log(getattr(logging, level), text)
        return text

    def fail(self) -> None:
        """Raises."""
        raise ValueError("broken on purpose")


def folder() -> str:
    """Of the instance."""
    current = _instance.current()
    assert current is not None
    return current.folder


def replica_of(app: App, deployment: str = "Talker") -> tuple[str, Path]:
    """Id and log file of its only replica."""
    (replica,) = app.details(deployment)["replicas"]
    (path,) = Path(folder(), "logs").glob(f"replica_*_{replica['replica_id']}.log")
    return replica["replica_id"], path


def line_with(path: Path, text: str) -> str:
    """The line that holds a text, once it is there."""

    def found() -> list[str]:
        return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []

    return wait_until(found, f"a line with {text!r} in {path}")[-1]


TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


# ---- text ----


def test_a_line_has_component_replica_and_request(deploy: Deployer) -> None:
    app = deploy(Talker.bind())
    unique, path = replica_of(app)
    app.get("/?text=in-async-code", headers={"x-request-id": "my-id"})
    line = line_with(path, "in-async-code")
    assert re.fullmatch(rf"INFO {TIME} {app.name}_Talker {unique} my-id -- in-async-code", line), line
    assert path.read_text().count("in-async-code") == 1


def test_code_on_a_thread_knows_its_request_too(deploy: Deployer) -> None:
    app = deploy(Talker.bind())
    unique, path = replica_of(app)
    assert app.handle.say.remote("on-a-thread").result() == "on-a-thread"
    line = line_with(path, "on-a-thread")
    request = re.fullmatch(rf"INFO {TIME} {app.name}_Talker {unique} (\S+) -- on-a-thread", line)
    assert request, line
    access = line_with(path, "CALL say")
    assert re.fullmatch(rf"INFO {TIME} {app.name}_Talker {unique} {request[1]} -- CALL say OK \d+\.\dms", access)


def test_a_failure_is_logged_with_its_request(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Sync:
        def __call__(self) -> None:
            raise ValueError("broken in sync code")

    app = deploy(Sync.bind())
    _, path = replica_of(app, "Sync")
    assert app.get("/", headers={"x-request-id": "failed-one"}).status_code == 500
    assert re.fullmatch(rf"ERROR {TIME} \S+ \S+ failed-one -- Request failed\.", line_with(path, "Request failed"))
    line_with(path, "ValueError: broken in sync code")
    assert " failed-one -- GET " in line_with(path, " 500 ")


def test_lines_outside_a_request_have_none(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Early:
        def __init__(self) -> None:
            logging.getLogger("ray.serve").info("being made")

        def __call__(self) -> None: ...

    app = deploy(Early.bind())
    unique, path = replica_of(app, "Early")
    assert re.fullmatch(rf"INFO {TIME} {app.name}_Early {unique} -- being made", line_with(path, "being made"))


def test_a_record_of_a_multiplexed_request_names_its_model(deploy: Deployer) -> None:
    app = deploy(Talker.bind())
    _, path = replica_of(app)
    app.get("/?text=of-a-model", headers={"serve_multiplexed_model_id": "m7", "x-request-id": "r"})
    assert " r model=m7 -- of-a-model" in line_with(path, "of-a-model")
    assert " r model=m7 -- GET " in line_with(path, "-- GET ")


def test_user_handlers_get_the_same_fields(deploy: Deployer, tmp_path: Path) -> None:
    mine = tmp_path / "mine.log"

    @serve.deployment(**QUICK)
    class Own:
        def __init__(self) -> None:
            handler = logging.FileHandler(mine)
            handler.setFormatter(logging.Formatter("%(request_id)s|%(route)s|%(application)s|%(message)s"))
            logging.getLogger("ray.serve").addHandler(handler)

        def __call__(self) -> None:
            logging.getLogger("ray.serve").info("for my handler")

    app = deploy(Own.bind())
    app.get("/", headers={"x-request-id": "mine"})
    assert line_with(mine, "for my handler") == f"mine|/{app.name}|{app.name}|for my handler"


# ---- access lines ----


def test_the_access_log_of_http_calls_and_errors(deploy: Deployer) -> None:
    app = deploy(Talker.bind())
    unique, path = replica_of(app)
    app.get("/", headers={"x-request-id": "via-http"})
    line = line_with(path, "via-http -- GET")
    assert re.fullmatch(rf"INFO {TIME} {app.name}_Talker {unique} via-http -- GET /{app.name} 200 \d+\.\dms", line)
    with pytest.raises(ValueError, match="broken on purpose"):
        app.handle.fail.remote().result()
    assert re.search(r"-- CALL fail ERROR \d+\.\dms$", line_with(path, "CALL fail"))


def test_the_latency_is_that_of_user_code(deploy: Deployer) -> None:
    @serve.deployment(**QUICK)
    class Slow:
        async def __call__(self) -> None:
            time.sleep(0.05)  # in the turn that brought the request

    app = deploy(Slow.bind())
    _, path = replica_of(app, "Slow")
    app.get("/")
    took = re.search(r" 200 (\d+\.\d)ms$", line_with(path, " 200 "))
    assert took is not None
    assert float(took[1]) >= 50


def test_routes_of_an_application_are_patterns(deploy: Deployer) -> None:
    api = FastAPI()

    @serve.deployment(**QUICK)
    @serve.ingress(api)
    class Shop:
        @api.get("/items/{key}")
        def item(self, key: int) -> int:
            return key

        @api.websocket("/ws")
        async def talk(self, socket: WebSocket) -> None:
            await socket.accept()
            await socket.close(4001)

    app = deploy(Shop.bind())
    _, path = replica_of(app, "Shop")
    assert app.get("/items/3").json() == 3
    assert app.get("/items/x").status_code == 422
    assert app.get("/nope").status_code == 404
    with (
        connect(app.instance.url(f"/{app.name}/ws").replace("http", "ws")) as socket,
        pytest.raises(ConnectionClosed),
    ):
        socket.recv(timeout=10)
    line_with(path, f"GET /{app.name}/items/{{key}} 200 ")
    line_with(path, f"GET /{app.name}/items/{{key}} 422 ")
    line_with(path, f"GET /{app.name} 404 ")
    line_with(path, f"WS /{app.name} 4001 ")


def test_without_access_lines(deploy: Deployer) -> None:
    app = deploy(Talker.options(logging_config={"enable_access_log": False}).bind())
    _, path = replica_of(app)
    app.get("/?text=said-all-the-same")
    line_with(path, "said-all-the-same")
    serve.delete(app.name)  # whatever was to be written has been
    assert "-- GET" not in path.read_text()


# ---- the options ----


def test_json(deploy: Deployer) -> None:
    app = deploy(Talker.options(logging_config=LoggingConfig(encoding="JSON")).bind())
    unique, path = replica_of(app)
    app.get("/?text=as-json", headers={"x-request-id": "my-id", "serve_multiplexed_model_id": "m1"})
    record = json.loads(line_with(path, "as-json"))
    common = {
        "levelname": "INFO",
        "request_id": "my-id",
        "route": f"/{app.name}",
        "application": app.name,
        "deployment": f"{app.name}_Talker",
        "replica": unique,
        "component_name": "replica",
        "multiplexed_model_id": "m1",
    }
    assert common.items() <= record.items()
    assert record["message"] == "as-json"
    assert record["filename"] == "test_logs.py"
    assert record["lineno"] > 0
    assert re.fullmatch(TIME, record["asctime"])
    assert abs(record["timestamp_ns"] / 1e9 - time.time()) < 60
    access = json.loads(line_with(path, '"message": "GET'))
    assert common.items() <= access.items()
    assert re.fullmatch(rf"GET /{app.name} 200 \d+\.\dms", access["message"])
    assert set(access) <= set(record)


def test_exceptions_in_json_are_on_one_line(deploy: Deployer) -> None:
    app = deploy(Talker.options(logging_config={"encoding": "JSON"}).bind())
    _, path = replica_of(app)
    with pytest.raises(ValueError, match="broken on purpose"):
        app.handle.fail.remote().result()
    record = json.loads(line_with(path, "Request failed."))
    assert record["levelname"] == "ERROR"
    assert "ValueError: broken on purpose" in record["exc_text"]


def test_levels_of_application_and_deployment(deploy: Deployer) -> None:
    quiet = Talker.options(name="Quiet", logging_config={"log_level": "WARNING"})

    @serve.deployment(**QUICK)
    class Loud:
        def __init__(self, other: Any) -> None:
            self.other = other

        def level(self) -> int:
            logging.getLogger("ray.serve").debug("a detail")
            return logging.getLogger("ray.serve").getEffectiveLevel()

    app = deploy(Loud.bind(quiet.bind()), logging_config={"log_level": "DEBUG"})
    assert app.handle.level.remote().result() == logging.DEBUG
    _, loud = replica_of(app, "Loud")
    line_with(loud, "-- a detail")
    _, path = replica_of(app, "Quiet")
    other = app.of("Quiet")
    other.say.remote("not worth it").result()
    other.say.remote("worth it", "WARNING").result()
    line_with(path, "-- worth it")
    serve.delete(app.name)
    assert "not worth it" not in path.read_text()
    assert "CALL" not in path.read_text()  # access lines are of level INFO


def test_attributes_of_records(deploy: Deployer) -> None:
    config = {"additional_log_standard_attrs": ["name", "levelno"]}
    app = deploy(Talker.options(logging_config=config).bind())
    _, path = replica_of(app)
    app.get("/?text=with-more", headers={"x-request-id": "id"})
    assert " id ray.serve 20 -- with-more" in line_with(path, "with-more")
    app = deploy(Talker.options(logging_config={**config, "encoding": "JSON"}).bind())
    _, path = replica_of(app)
    app.get("/?text=with-more")
    record = json.loads(line_with(path, "with-more"))
    assert (record["name"], record["levelno"]) == ("ray.serve", 20)


def test_another_folder(deploy: Deployer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "made" / "for it"
    app = deploy(Talker.options(logging_config={"logs_dir": str(elsewhere)}).bind())
    unique, path = replica_of(app)
    app.get("/?text=goes-there")
    there = elsewhere / path.name
    assert there.name == f"replica_{app.name}_Talker_{unique}.log"
    line_with(there, "-- goes-there")
    line_with(there, f"-- GET /{app.name} 200")
    line_with(path, "-- goes-there")  # and where everything of the process goes


def test_a_folder_that_cannot_be_made_fails_the_deploy(deploy: Deployer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = {"logs_dir": str(tmp_path / "file" / "below")}
    with pytest.raises(RuntimeError, match=r"logging_config\.logs_dir.*below"):
        deploy(Talker.options(logging_config=config, max_constructor_retry_count=1).bind())


def test_bad_configurations_are_refused(deploy: Deployer) -> None:
    with pytest.raises(ValueError, match=r"additional_log_standard_attrs.*colour"):
        LoggingConfig(additional_log_standard_attrs=["colour"])
    with pytest.raises(ValueError, match="log_level"):
        deploy(Talker.bind(), logging_config={"log_level": "LOUD"})
    with pytest.raises(ValueError, match="encoding"):
        serve.start(logging_config={"encoding": "XML"})
    assert serve.status().applications == {}


def change_logging(app: App, deployment: str, config: dict[str, Any]) -> None:
    """As a config file would: the same code, other options."""
    codes = sorted(Path(folder(), "code").iterdir(), key=lambda path: path.stat().st_mtime)
    one = {
        "name": deployment,
        "options": {**QUICK, "logging_config": config},
        "launch": {"kind": "python", "code": codes[-1].name, "is_ingress": True},
        "code_version": "same",
    }
    params = {
        "name": app.name,
        "route_prefix": f"/{app.name}",
        "ingress": deployment,
        "deployments": [one],
        "launch": {"python": sys.executable, "sys_path": sys.path, "cwd": os.getcwd()},
    }
    _instance.call("serve.deploy", params)
    _instance.call("serve.wait", {"app": app.name, "until": "running"}, timeout_s=30)


def test_a_change_is_live(deploy: Deployer) -> None:
    app = deploy(Talker.bind())
    change_logging(app, "Talker", {})  # the version that is named "same"
    unique, path = replica_of(app)
    app.get("/?text=not-yet&level=DEBUG")
    change_logging(app, "Talker", {"log_level": "DEBUG", "encoding": "JSON"})
    assert replica_of(app)[0] == unique
    app.get("/?text=now&level=DEBUG")
    assert json.loads(line_with(path, '"message": "now"'))["levelname"] == "DEBUG"
    json.loads(line_with(path, '"message": "GET'))
    assert "not-yet" not in path.read_text()
