"""What changes cost those who are served meanwhile: updates, scaling, kills, failed rollouts.

    change.py [--scale F] [--docs FILE]

Clients with kept connections, and clients that read streams, ask half as fast as they could, while
things change. Every request is accounted for. `--scale 0.1` makes a tenth of the changes. Times are
medians; Ray Serve's are of other runs (users-pains, behaviour specification).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

from penstock import _instance, serve
from penstock._build import build

_LINES = 20
_STREAM = "".join(f"line {number}\n" for number in range(_LINES))
_KEPT, _STREAMS = 16, 4  # connections
_DYING_S = 0.02  # what is sent to a killed process while the kernel ends it is held by it
_LLHTTP = Path("/usr/share/llhttp")


class Answer:
    """Answers at once; ``/stream`` line by line."""

    def __init__(self) -> None:
        from starlette.responses import StreamingResponse  # while nobody waits

        self._streaming = StreamingResponse

    async def __call__(self, request: Any) -> Any:
        """Both."""
        if not request.url.path.endswith("/stream"):
            return "ok"

        async def lines() -> Any:
            for number in range(_LINES):
                yield f"line {number}\n"

        return self._streaming(lines(), media_type="text/plain")


class Bad:
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("a bad release")

    async def __call__(self, request: Any) -> str:
        """Never."""
        return "no"


def deploy(kind: type, replicas: Any, version: str, **options: Any) -> None:
    """Deploys this version of the code, in place if it is the same; RuntimeError when it fails."""
    options = {"ray_actor_options": {"num_cpus": 0}, "max_ongoing_requests": 100, **options}
    if isinstance(replicas, int):
        options["num_replicas"] = replicas
    app = serve.deployment(kind).options(name="Answer", **options).bind()
    params, code = build(app, "bench", "/", {}, _instance.ensure().folder).request()
    for deployment in params["deployments"]:
        deployment["code_version"] = version
    _instance.call("serve.deploy", params, code)
    _instance.call("serve.wait", {"app": "bench", "until": "running"})


def replicas() -> list[dict[str, Any]]:
    """Those in service."""
    all_of_them = _instance.call("serve.status")["applications"]["bench"]["deployments"]["Answer"]["replicas"]
    return [replica for replica in all_of_them if replica["state"] == "RUNNING"]


def until(check: Callable[[], Any], limit_s: float = 30) -> None:
    """Polls."""
    end = time.monotonic() + limit_s
    while not check():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.002)


def pid_of(role: str) -> int:
    """The process of this instance that plays a role."""
    home = f"PENSTOCK_HOME={os.environ['PENSTOCK_HOME']}".encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if len(words) > 1 and words[1] == role.encode() and home in (entry / "environ").read_bytes():
                return int(entry.name)
    return 0


class Load:
    """The load program, built here; each run of it is a process."""

    def __init__(self, folder: str, port: int) -> None:
        self._program, self._port = f"{folder}/change_load", port
        parts = []
        for name in ("api", "http", "llhttp"):
            parts.append(f"{folder}/{name}.o")
            source = str(_LLHTTP / f"{name}.c")
            subprocess.run(["gcc", "-O2", "-I/usr/share/include/llhttp", "-c", source, "-o", parts[-1]], check=True)
        source = str(Path(__file__).with_name("change_load.cc"))
        command = ["g++", "-O2", "-std=c++20", "-I/usr/share/include/llhttp", source, *parts, "-o", self._program]
        subprocess.run(command, check=True)

    def start(self, path: str, connections: int, rate: float, expected: str) -> Callable[[], dict[str, Any]]:
        """Begins; what is returned ends it and tells what came of it."""
        arguments = [str(self._port), path, str(connections), str(rate), expected.replace("\n", "\\n")]
        process = subprocess.Popen([self._program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def end() -> dict[str, Any]:
            out, _ = process.communicate(timeout=60)
            told: dict[str, Any] = json.loads(out)
            told["lost"] = told["sent"] - sum(told["statuses"].values()) - told["cut"] - told["unanswered"]
            told["failed"] = sum(n for status, n in told["statuses"].items() if status != "200")
            return told

        return end

    def plain(self, rate: float, connections: int = _KEPT) -> Callable[[], dict[str, Any]]:
        """Of the short answers."""
        return self.start("/", connections, rate, "ok")

    def streams(self, rate: float) -> Callable[[], dict[str, Any]]:
        """Of the streams."""
        return self.start("/stream", _STREAMS, rate, _STREAM)


class Page:
    """The rows."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.missed = 0

    def row(self, what: str, figure: str, bar: str, met: Optional[bool], other: str = "") -> None:
        """One."""
        mark = "" if met is None else "yes" if met else "**no**"
        self.missed += met is False
        self.rows.append(f"| {what} | {figure} | {bar} | {mark} | {other} |")
        print(self.rows[-1], flush=True)

    def text(self) -> str:
        """All of it."""
        head = "| what | figure | bar | met | Ray Serve, elsewhere |\n|---|---|---|---|---|\n"
        return head + "\n".join(self.rows) + "\n"


def steady(page: Page, load: Load, rates: tuple[float, float], what: str, changes: Callable[[], None]) -> None:
    """Changes things under steady load, and says what became of the requests."""
    ends = (load.plain(rates[0]), load.streams(rates[1]))
    began = time.monotonic()
    changes()
    took = time.monotonic() - began
    told = [end() for end in ends]
    sent = sum(one["sent"] for one in told)
    bad = {key: sum(one[key] for one in told) for key in ("failed", "wrong", "cut", "unanswered", "refused", "lost")}
    worst = ", ".join(f"{count} {key}" for key, count in bad.items() if count) or "0 lost"
    page.row(f"{what}, {took:.0f} s", f"{worst} of {sent:,}", "0", not any(bad.values()))


def under_load(page: Page, load: Load, scale: float) -> None:
    """The long part."""
    deploy(Answer, 2, "v0")
    probes = (load.plain(0), load.streams(0))
    time.sleep(2)
    told = [end() for end in probes]
    rates = tuple(one["sent"] / one["seconds"] / 2 for one in told)
    page.row("half of the capacity, requests/s", f"{rates[0]:,.0f} and {rates[1]:,.0f} streams", "", None)
    counted = lambda count: max(2, round(count * scale))  # noqa: E731
    version = iter(f"v{number}" for number in range(1, 10_000))

    def updates() -> None:
        for _ in range(counted(100)):
            deploy(Answer, 2, next(version))

    def scaling() -> None:
        here = next(version)
        deploy(Answer, 2, here)
        for _ in range(counted(100)):
            deploy(Answer, 4, here)
            deploy(Answer, 2, here)

    def controllers() -> None:
        for _ in range(counted(50)):
            before = pid_of("controller")
            os.kill(before, signal.SIGKILL)
            until(lambda: pid_of("controller") not in (0, before))  # noqa: B023
            until(both_known)

    def both_known() -> bool:
        try:
            return len(replicas()) == 2
        except (ConnectionError, KeyError):  # it is being started, or has not heard of them yet
            return False

    def failing() -> None:
        for _ in range(counted(20)):
            with contextlib.suppress(RuntimeError):
                deploy(Bad, 2, next(version), max_constructor_retry_count=1)
                raise AssertionError("it did not fail")
        deploy(Answer, 2, next(version))

    both = (rates[0], rates[1])
    steady(page, load, both, f"{counted(100)} rolling updates of two replicas", updates)
    steady(page, load, both, f"{counted(100)} times from 2 replicas to 4 and back", scaling)
    steady(page, load, both, f"{counted(50)} kills of the controller", controllers)
    steady(page, load, both, f"{counted(20)} failed rollouts", failing)


def _kill_replica(load: Load, count: int) -> tuple[float, int, int]:
    """Seconds from the kill to the first answer of a request that began after it; what failed; of how many."""
    end = load.plain(50, 8)
    time.sleep(0.5)
    victim = replicas()[0]["pid"]
    when = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(replicas()) == count and all(replica["pid"] != victim for replica in replicas()))
    replaced = time.monotonic() - when
    time.sleep(0.5)
    told = end()
    if count > 1:
        return replaced, told["failed"] + told["unanswered"] + told["cut"], told["sent"]
    served = min(ended for begun, ended, status in told["list"] if begun > when and status == 200)
    late = [begun for begun, ended, status in told["list"] if status != 200 and begun > when + _DYING_S]
    return served - when, len(late), told["sent"]


def _step(load: Load) -> float:
    """Seconds from a step of the load to the second replica."""
    deploy(
        Slow,
        None,
        f"slow{time.monotonic()}",
        autoscaling_config={
            "min_replicas": 1,
            "initial_replicas": 1,
            "max_replicas": 2,
            "target_ongoing_requests": 1,
            "upscale_delay_s": 0,
            "metrics_interval_s": 0.1,
            "look_back_period_s": 0.2,
        },
    )
    until(lambda: len(replicas()) == 1)
    began = time.monotonic()
    end = load.start("/", 8, 0, "slow")
    until(lambda: len(replicas()) == 2)
    took = time.monotonic() - began
    end()
    return took


class Slow:
    """Takes a moment."""

    async def __call__(self, request: Any) -> str:
        """A fifth of a second."""
        import asyncio

        await asyncio.sleep(0.2)
        return "slow"


def _proxy(load: Load) -> tuple[float, int]:
    """Longest time without an answer around a kill of the proxy; what failed."""
    end = load.plain(50, 8)
    time.sleep(0.5)
    when = time.monotonic()
    os.kill(pid_of("proxy"), signal.SIGKILL)
    time.sleep(1.5)
    told = end()
    served = min(ended for begun, ended, status in told["list"] if ended > when and status == 200)
    return served - when, told["failed"] + told["unanswered"] + told["cut"]


def reactions(page: Page, load: Load, rounds: int) -> None:
    """How soon it is as it was. Each figure is a median."""
    deploy(Answer, 1, "one")
    alone = [_kill_replica(load, 1) for _ in range(rounds)]
    seconds = statistics.median(one[0] for one in alone)
    page.row(
        "kill -9 of the only replica at 50 rps: serving again", f"{seconds:.3f} s", "0.5 s", seconds <= 0.5, "8.1 s"
    )
    failed, sent = sum(one[1] for one in alone), sum(one[2] for one in alone)
    page.row("  failed that it did not hold", f"{failed} of {sent}", "0", failed == 0, "154 of 504")
    deploy(Answer, 2, "two")
    pairs = [_kill_replica(load, 2) for _ in range(rounds)]
    seconds = statistics.median(one[0] for one in pairs)
    page.row("kill -9 of one of two: replaced", f"{seconds:.3f} s", "0.5 s", seconds <= 0.5, "7.1 s")
    failed, sent = sum(one[1] for one in pairs), sum(one[2] for one in pairs)
    page.row("  failed, what it held among them", f"{failed} of {sent}", "0 beyond what it held", failed <= rounds)
    updates = []
    failed = sent = 0
    for number in range(rounds):
        end = load.plain(50, 8)
        began = time.monotonic()
        deploy(Answer, 2, f"update{number}")
        updates.append(time.monotonic() - began)
        told = end()
        failed += told["failed"] + told["unanswered"] + told["cut"] + told["lost"]
        sent += told["sent"]
    seconds = statistics.median(updates)
    page.row("rolling update of two replicas at 50 rps", f"{seconds:.3f} s", "1 s", seconds <= 1, "4.1 s")
    page.row("  lost", f"{failed} of {sent}", "0", failed == 0)
    seconds = statistics.median(_step(load) for _ in range(rounds))
    page.row("step of the load to a second replica in service", f"{seconds:.3f} s", "0.3 s", seconds <= 0.3, "2.9 s")
    deploy(Answer, 2, "proxy")
    kills = [_proxy(load) for _ in range(rounds)]
    seconds = statistics.median(one[0] for one in kills)
    failed = sum(one[1] for one in kills)
    page.row("kill -9 of the proxy at 50 rps: an answer again", f"{seconds:.3f} s", "", None)
    page.row("  failed, what it held among them", f"{failed} in {rounds} kills", "what it held", failed <= 2 * rounds)


@contextlib.contextmanager
def instance() -> Iterator[int]:
    """An instance of one's own; its port."""
    with tempfile.TemporaryDirectory(prefix="pc-", dir="/tmp") as home:
        os.environ["PENSTOCK_HOME"] = home
        serve.start(http_options={"port": 0})
        try:
            (address,) = _instance.call("serve.status")["proxy_addresses"].values()
            yield int(address.rsplit(":", 1)[1])
        finally:
            _instance.disconnect()


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    page = Page()
    with tempfile.TemporaryDirectory() as folder, instance() as port:
        load = Load(folder, port)
        under_load(page, load, options.scale)
        reactions(page, load, options.rounds)
    if options.docs is not None:
        options.docs.write_text(f"# Figures: changes under load\n\nPrinted by `./x bench change`.\n\n{page.text()}")
    print(f"{page.missed} bar(s) missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
