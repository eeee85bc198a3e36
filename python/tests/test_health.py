"""Busy is not dead, stalled is not healthy: replicas whose loop or threads user code holds up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import App, Deployer
from instances import Instance, embedded
from ray import serve
from waiting import in_background, wait_until

# Checks that come and are missed quickly, and an end that does not wait for what is stuck.
QUICK: dict[str, Any] = {
    "health_check_period_s": 0.05,
    "health_check_timeout_s": 0.4,
    "graceful_shutdown_timeout_s": 0.1,
}
# Several times three time-outs.
LONG_S = 3.0


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with embedded(num_cpus=8) as running:
        yield running


def watchdog(interval_s: float, timeout_s: float, max_fail: int) -> dict[str, Any]:
    """Options of a deployment with these times, by the variables that Ray Serve has for them."""
    prefix = "RAY_SERVE_USER_HEALTH_CHECK_PROBE_"
    times = {"INTERVAL_S": interval_s, "TIMEOUT_S": timeout_s, "MAX_FAIL": max_fail}
    env_vars = {prefix + name: str(value) for name, value in times.items()}
    return {"ray_actor_options": {"runtime_env": {"env_vars": env_vars}}}


def spin(seconds: float) -> None:
    """Computes for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@serve.deployment(**QUICK)
class Quiet:
    """Has no check_health; what it is told to do it does on the event loop."""

    async def __call__(self, what: str, seconds: float) -> int:
        getattr(self, what)(seconds)
        return os.getpid()

    def nothing(self, seconds: float) -> None:
        """Answers at once."""

    def spin(self, seconds: float) -> None:
        """Computes."""
        spin(seconds)

    def sleep(self, seconds: float) -> None:
        """Shows no sign of life."""
        time.sleep(seconds)

    def hold(self, seconds: float) -> None:
        """Computes and never lets go of the interpreter's lock, as extensions in C may do."""
        began = time.monotonic()
        sum(range(5_000_000))
        per_second = 5_000_000 / (time.monotonic() - began)
        sum(range(int(seconds * per_second)))  # between two calls another thread may get the lock

    def child(self, seconds: float) -> None:
        """Waits for a process that computes."""
        subprocess.run([sys.executable, "-c", f"import time\nend = time.monotonic() + {seconds}\n" + _SPIN], check=True)


_SPIN = "while time.monotonic() < end: pass"


@serve.deployment(**QUICK)
class Checked(Quiet.func_or_class):  # type: ignore[name-defined, misc]
    """The same with a check_health, which nobody hears while the loop is held up."""

    def check_health(self) -> None:
        """Is always well."""


def health(app: App, deployment: str) -> dict[str, Any]:
    """What the status says of its only replica."""
    (replica,) = app.details(deployment)["replicas"]
    found: dict[str, Any] = replica["health"]
    return found


def is_replaced(app: App, deployment: str, pid: int) -> bool:
    """True once another process runs and the deployment is well again."""
    details = app.details(deployment)
    pids = [replica["pid"] for replica in details["replicas"]]
    return details["status"] == "HEALTHY" and pid not in pids


@pytest.mark.parametrize(
    ("what", "doing"),
    [
        ("spin", "spin (" + __file__),
        ("hold", "code that holds the interpreter's lock"),
    ],
)
def test_one_that_computes_is_busy_and_stays(deploy: Deployer, what: str, doing: str) -> None:
    app = deploy(Checked.bind())
    before = app.handle.remote("nothing", 0).result()
    began = time.time()
    call = app.handle.remote(what, LONG_S)
    seen = wait_until(lambda: (h := health(app, "Checked"))["state"] == "busy" and h, "it is busy")
    assert began - 0.5 < seen["since_s"] < time.time()
    assert seen["doing"].startswith(doing)
    text = app.instance.status_text()
    assert "busy since" in text
    assert doing in text
    assert call.result(timeout_s=30) == before
    wait_until(lambda: health(app, "Checked") == {"state": "healthy"}, "it is well again")
    assert app.handle.remote("nothing", 0).result() == before
    assert app.details("Checked")["status"] == "HEALTHY"


def test_one_that_waits_for_a_process_that_computes_stays(deploy: Deployer) -> None:
    app = deploy(Checked.bind())
    before = app.handle.remote("nothing", 0).result()
    assert app.handle.remote("child", LONG_S).result(timeout_s=30) == before
    assert app.handle.remote("nothing", 0).result() == before


def test_one_that_sleeps_stays_when_it_has_no_check_of_its_own(deploy: Deployer) -> None:
    app = deploy(Quiet.bind())
    before = app.handle.remote("nothing", 0).result()
    call = app.handle.remote("sleep", LONG_S)
    wait_until(lambda: health(app, "Quiet").get("doing", "").startswith("sleep ("), "it is seen to sleep")
    assert call.result(timeout_s=30) == before
    assert app.handle.remote("nothing", 0).result() == before


def test_a_check_that_nobody_hears_is_failed_when_there_is_no_sign_of_life(deploy: Deployer) -> None:
    app = deploy(Checked.bind())
    before = app.handle.remote("nothing", 0).result()
    lost = app.handle.remote("sleep", 600)
    wait_until(lambda: is_replaced(app, "Checked", before), "it is replaced")
    with pytest.raises(Exception, match=r"\w+"):
        lost.result(timeout_s=30)
    assert app.handle.remote("nothing", 0).result() != before


@pytest.mark.parametrize(
    ("what", "limits", "why"),
    [
        ("sleep", watchdog(60, 0.5, 3), " s, by sleep ("),
        ("spin", watchdog(0.3, 0.3, 2), " s, by spin ("),
    ],
    ids=["silent", "endless"],
)
def test_one_that_never_turns_again_is_stalled(
    deploy: Deployer, tmp_path: Path, what: str, limits: dict[str, Any], why: str
) -> None:
    @serve.deployment(**QUICK, **limits)
    class Stuck(Quiet.func_or_class):  # type: ignore[name-defined, misc]
        def __init__(self, barred: str) -> None:
            while os.path.exists(barred):  # nobody takes its place before the test has looked
                time.sleep(0.01)

    barred = tmp_path / "barred"
    app = deploy(Stuck.bind(str(barred)))
    before = app.handle.remote("nothing", 0).result()
    barred.touch()
    lost = app.handle.remote(what, 600)
    wait_until(lambda: app.details("Stuck")["status"] == "UNHEALTHY", "it is given up")
    message = app.details("Stuck")["message"]
    assert message.startswith("A replica's health check failed.")
    assert "its event loop has been held up for" in message
    assert why in message
    assert ("without a sign of life" in message) == (what == "sleep")
    barred.unlink()
    wait_until(lambda: is_replaced(app, "Stuck", before), "it is replaced")
    with pytest.raises(Exception, match=r"\w+"):
        lost.result(timeout_s=30)


def test_threads_that_are_all_stuck_are_stalled(deploy: Deployer) -> None:
    @serve.deployment(max_ongoing_requests=10, **QUICK, **watchdog(0.3, 0.3, 2))
    class Pool:
        def stuck(self) -> None:
            threading.Event().wait()

        def pid(self) -> int:
            return os.getpid()

    app = deploy(Pool.bind())
    before = app.handle.pid.remote().result()
    lost = [app.handle.stuck.remote() for _ in range(7)]  # there are five threads
    wait_until(lambda: is_replaced(app, "Pool", before), "it is replaced")
    for call in lost:
        with pytest.raises(Exception, match=r"\w+"):
            call.result(timeout_s=30)
    assert app.handle.pid.remote().result() != before


def test_threads_that_are_taken_but_get_on_are_healthy(deploy: Deployer) -> None:
    @serve.deployment(max_ongoing_requests=10, **QUICK, **watchdog(0.1, 0.1, 2))
    class Pool:
        def work(self) -> int:
            spin(0.4)
            return os.getpid()

    app = deploy(Pool.bind())
    calls = [app.handle.work.remote() for _ in range(10)]
    assert len({call.result(timeout_s=60) for call in calls}) == 1


def test_a_time_that_makes_no_sense_is_named(deploy: Deployer) -> None:
    limits = watchdog(60, -1, 3)
    with pytest.raises(RuntimeError, match="RAY_SERVE_USER_HEALTH_CHECK_PROBE_TIMEOUT_S is '-1', allowed is"):
        deploy(Quiet.options(max_constructor_retry_count=1, **limits).bind())


def test_a_stop_does_not_wait_for_one_that_is_held_up(deploy: Deployer) -> None:
    app = deploy(Checked.bind())
    app.handle.remote("nothing", 0).result()
    lost = app.handle.remote("spin", 600)
    wait_until(lambda: health(app, "Checked")["state"] == "busy", "it is busy")
    in_background(serve.delete, app.name).result(timeout=30)
    with pytest.raises(Exception, match=r"\w+"):
        lost.result(timeout_s=30)
