"""Serves app.py, has it read a few pictures, and shows what each replica got."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app import Threads, app
from pictures import Picture, draw, pictures

from penstock import _instance, serve

_NAME = "ocr"
_NOTE = b"Dear reader, this is a note in plain English and not a picture. Who will find it out?\n"
_CLIENTS = 8
_MOST_PICTURES = 200


def say(title: str) -> None:
    """A heading."""
    print(f"\n== {title}", flush=True)


def post(url: str, file: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of the answer, whatever the status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=file), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def text_of(answer: dict[str, Any]) -> str:
    """The lines of an answer as one text."""
    return "\n".join(line["text"] for line in answer["lines"])


def show_answers(url: str) -> None:
    """Posts some pictures and a note, and prints what comes back."""
    some = [draw("Penstock\nreads this"), *pictures(3)]
    for number, file in enumerate([*(picture.png for picture in some), _NOTE], 1):
        began = time.monotonic()
        status, answer = post(url, file)
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        words = answer["error"] if status != 200 else text_of(answer).replace("\n", " / ")
        print(f"   file {number}: {len(file):5} bytes, {took:>7}   {status}  {words}")


def count_replicas() -> int:
    """Replicas of Ocr that run."""
    states = serve.status().applications[_NAME].deployments["Ocr"].replica_states
    return sum(count for state, count in states.items() if state.value == "RUNNING")


def show_autoscaling(url: str) -> None:
    """Several clients at once, until Ocr has as many replicas as it may or the pictures end."""

    def read(picture: Picture) -> bool:
        status, answer = post(url, picture.png)
        return status == 200 and text_of(answer) == picture.text

    before, began = count_replicas(), time.monotonic()
    right: list[bool] = []
    stock = iter(pictures(_MOST_PICTURES, seed=2))
    with ThreadPoolExecutor(_CLIENTS) as clients:
        while batch := list(itertools.islice(stock, 2 * _CLIENTS)):
            right += clients.map(read, batch)
            if count_replicas() > before:
                break
    rate = len(right) / (time.monotonic() - began)
    print(f"   {sum(right)} of {len(right)} pictures read right, {rate:.0f} a second")
    print(f"   replicas of Ocr: {before} before, {count_replicas()} now")


def threads_of(deployment: str, replicas: int) -> list[Threads]:
    """What the replicas of a deployment compute with; calls at once spread over them."""
    handle = serve.get_deployment_handle(deployment, _NAME)
    known: dict[str, Threads] = {}
    for _ in range(20):
        for response in [handle.threads.remote() for _ in range(2 * replicas)]:
            threads: Threads = response.result()
            known[threads["replica"]] = threads
        if len(known) >= replicas:
            break
    return list(known.values())


def show_threads() -> None:
    """A row for each replica that computes: what it may use, what each library uses."""
    print("   REPLICA            MAY USE  WORKERS STARTED  LIBRARIES")
    for deployment, replicas in (("FileType", 1), ("Ocr", count_replicas())):
        for threads in threads_of(deployment, replicas):
            name = f"{deployment} {threads['replica']}"
            settings = ", ".join(f"{library} {n}" for library, n in threads["settings"].items())
            print(f"   {name:17}  {threads['share']:7}  {threads['workers']:15}  {settings}")
    print("   (Workers are threads that libraries start beside the one that calls them.)")


def show_status() -> None:
    """The table of ``penstock status``, for the instance that this script uses."""
    instance = _instance.current()
    assert instance is not None
    command = [_instance.executable(), "status", "--address", instance.address]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(textwrap.indent(table, "   "), end="")


def show(url: str, hold: bool) -> None:
    """The tour, with the service running."""
    say(f"Files posted to {url}, and the text on them")
    show_answers(url)
    say(f"{_CLIENTS} clients at once: Ocr is autoscaled")
    show_autoscaling(url)
    say("What each replica got: penstock status")
    show_status()
    say("The threads they compute with, also in libraries that ignore OMP_NUM_THREADS")
    show_threads()
    if hold:
        say(f"Serving until Ctrl-C. Try: curl --data-binary @picture.png {url}")
        while True:
            time.sleep(3600)


def main() -> int:
    """0, or 1 with a word on stderr when the port is taken."""
    parser = argparse.ArgumentParser(description="An OCR service on Penstock.")
    parser.add_argument("--port", type=int, default=8000, help="of the service on 127.0.0.1 (default: 8000)")
    parser.add_argument("--hold", action="store_true", help="keep serving until Ctrl-C")
    options = parser.parse_args()

    say("Starting: Ingress -> FileType (magika) -> Ocr (RapidOCR)")
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    except RuntimeError as error:
        print(f"demo: {error}\ndemo: choose another port with --port", file=sys.stderr)
        return 1
    try:
        serve.run(app, name=_NAME)
        show(f"http://127.0.0.1:{options.port}/", options.hold)
    except KeyboardInterrupt:
        print()
    finally:
        serve.delete(_NAME)
    say("Done: the service has ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
