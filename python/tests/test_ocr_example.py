"""examples/ocr on real weights: every text is read right, and threads are what was asked for."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import requests
from conftest import App, Deployer
from instances import Instance, embedded, environment, free_port, own_home, processes_of
from waiting import wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "ocr"
CLIENTS = 8
# It computes, on cores that others use too.
SLOW = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=8) as running:
        yield running


def _module(name: str) -> Iterator[ModuleType]:
    """A module of the example. Its name is a common one: it is not left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        yield importlib.import_module(name)
        del sys.modules[name]


@pytest.fixture(scope="module")
def ocr() -> Iterator[ModuleType]:
    yield from _module("app")


@pytest.fixture(scope="module")
def drawn() -> Iterator[ModuleType]:
    yield from _module("pictures")


@pytest.fixture(scope="module")
def service(deploy_once: Deployer, ocr: ModuleType) -> App:
    return deploy_once(ocr.app)


def texts(answers: list[requests.Response]) -> list[str]:
    return ["\n".join(line["text"] for line in answer.json()["lines"]) for answer in answers]


@SLOW
def test_8_clients_have_200_pictures_read(service: App, drawn: ModuleType) -> None:
    pictures = drawn.pictures(200)
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda picture: service.post(data=picture.png), pictures))
    assert {answer.status_code for answer in answers} == {200}
    assert texts(answers) == [picture.text for picture in pictures]
    assert {answer.json()["type"] for answer in answers} == {"png"}


def test_where_a_text_is(service: App, drawn: ModuleType) -> None:
    (first, second) = service.post(data=drawn.draw("Left\nBelow").png).json()["lines"]
    assert (first["text"], second["text"]) == ("Left", "Below")
    assert 0.9 < first["score"] <= 1
    assert max(y for _, y in first["box"]) < min(y for _, y in second["box"])


@pytest.mark.parametrize(
    ("file", "kind"),
    [(b"Dear reader, this is a letter in plain English.\n" * 3, "txt"), (b"", "empty")],
)
def test_what_is_no_picture_gets_415(service: App, file: bytes, kind: str) -> None:
    answer = service.post(data=file)
    assert answer.status_code == 415
    assert f"This file is no picture, its type is: {kind}. POST a bmp" in answer.json()["error"]


def test_a_damaged_picture_gets_400_and_harms_nobody(service: App, drawn: ModuleType) -> None:
    picture = drawn.draw("Whole")
    answer = service.post(data=picture.png[:-300])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("This picture cannot be decoded: ")
    assert texts([service.post(data=picture.png)]) == ["Whole"]


def test_a_picture_without_text_has_no_lines(service: App, drawn: ModuleType) -> None:
    assert service.post(data=drawn.draw(" ").png).json() == {"type": "png", "lines": []}


@pytest.mark.parametrize("share", [1, 2])
def test_threads_are_what_was_asked_for(
    deploy: Deployer, instance: Instance, ocr: ModuleType, drawn: ModuleType, share: int
) -> None:
    if share > (os.cpu_count() or 1):
        pytest.skip("RapidOCR takes no setting beyond the cores of the machine")
    asked = {"ray_actor_options": {"num_cpus": share}}
    file_type, reader = ocr.FileType.options(**asked), ocr.Ocr.options(**asked)
    app = deploy(ocr.Ingress.bind(file_type.bind(), reader.bind()))
    picture = drawn.draw("Two\nlines")
    assert texts([app.post(data=picture.png)]) == [picture.text]  # pools start when they are used

    got = app.of("Ocr").threads.remote().result()
    replica, settings = got.pop("replica"), got.pop("settings")
    assert set(settings) == {"OpenCV", "ONNX Runtime (find)", "ONNX Runtime (read)"}
    assert set(settings.values()) == {share}
    # Three models, one of them idle, and OpenCV: each computes on its caller's thread too.
    assert got == {"share": share, "workers": 4 * (share - 1)}

    got = app.of("FileType").threads.remote().result()
    assert got.pop("replica") != replica
    assert got == {"share": share, "settings": {"ONNX Runtime": share}, "workers": share - 1}
    assert f"OMP_NUM_THREADS={share} [max(1, floor(num_cpus={share}))]" in instance.status_text()


@SLOW
def test_ocr_is_autoscaled(deploy: Deployer, ocr: ModuleType, drawn: ModuleType) -> None:
    app, picture, enough = deploy(ocr.app), drawn.draw("Busy"), threading.Event()

    def post_until_enough() -> list[requests.Response]:
        answers = []
        while not enough.is_set():
            answers.append(app.post(data=picture.png))
        return answers

    with ThreadPoolExecutor(CLIENTS) as clients:
        try:
            posting = [clients.submit(post_until_enough) for _ in range(CLIENTS)]
            wait_until(lambda: app.running("Ocr") == 2, "a second replica of Ocr runs", 120)
        finally:
            enough.set()
    answers = [answer for one in posting for answer in one.result()]
    assert set(texts(answers)) == {"Busy"}


def run_demo(home: str, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE / "demo.py"), *flags],
        env=environment(PENSTOCK_HOME=home, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@SLOW
def test_the_demo_prints_texts_table_and_threads() -> None:
    with own_home() as home, run_demo(home, "--port", str(free_port())) as demo:
        out, err = demo.communicate(timeout=240)
        assert demo.returncode == 0, out + err
        wait_until(lambda: not processes_of(home), "the demo's instance has ended")
    assert "Traceback" not in err
    assert "200  Penstock / reads this" in out
    assert "415  This file is no picture, its type is: txt." in out
    words = " ".join(out.split())  # columns are as wide as what is in them
    assert "REPLICA STATE NODE PID ASSIGNED DEVICES VARIABLES" in words
    assert "CPU 0.8 - OMP_NUM_THREADS=1 [max(1, floor(num_cpus=0.8))]" in words
    assert "OpenCV 1, ONNX Runtime (find) 1, ONNX Runtime (read) 1" in out
    assert out.endswith("== Done: the service has ended\n")


@SLOW
def test_the_demo_holds_until_ctrl_c(drawn: ModuleType) -> None:
    port, read = free_port(), []
    with own_home() as home, run_demo(home, "--hold", "--port", str(port)) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            read.append(line)
            if "Serving until Ctrl-C" in line:
                break
        answer = requests.post(f"http://127.0.0.1:{port}/", data=drawn.draw("Held").png, timeout=30)
        assert texts([answer]) == ["Held"]
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)
        assert demo.returncode == 0, "".join(read) + out + err
    assert "Traceback" not in err
    assert out.endswith("== Done: the service has ended\n")


def test_the_demo_says_when_the_port_is_taken() -> None:
    with socket.socket() as other, own_home() as home:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with run_demo(home, "--port", str(other.getsockname()[1])) as demo:
            out, err = demo.communicate(timeout=30)
    assert (demo.returncode, "Traceback" in err) == (1, False), out + err
    assert "Address already in use" in err
    assert "choose another port with --port" in err
