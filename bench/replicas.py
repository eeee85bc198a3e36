"""What a replica costs: memory of everything, memory and time of each further replica, idle CPU.

    replicas.py [--further N] [--one-by-one N]

Starts an instance with one no-op replica, then adds replicas in place. Memory is the sum of the
PSS of all processes of the instance, this one included. Prints figures; asserts none.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from penstock import _instance, serve
from penstock._build import build

_ROLES = ("guard", "node", "controller", "proxy", "_zygote", "_replica")
_STEPS = ("queue_s", "spawn_s", "import_s", "load_s", "init_s")


class Noop:
    """Nothing."""

    async def __call__(self, request: Any = None) -> str:
        """Of interest to nobody."""
        return "ok"


def processes(home: str) -> dict[int, str]:
    """Every process with this PENSTOCK_HOME, and its role."""
    found = {os.getpid(): "script"}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"PENSTOCK_HOME={home}".encode() in (entry / "environ").read_bytes():
                words = re.split(r"[\0.]", (entry / "cmdline").read_bytes().decode())
                found.setdefault(int(entry.name), next((role for role in _ROLES if role in words), "?"))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def pss_mb(pid: int) -> float:
    """Of one process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Pss:\s+(\d+)", text, re.M)) / 1024


def memory(home: str) -> tuple[float, dict[str, float]]:
    """Of everything, and by role."""
    by_role: dict[str, float] = {}
    for pid, role in processes(home).items():
        by_role[role] = by_role.get(role, 0) + pss_mb(pid)
    return sum(by_role.values()), by_role


def cpu_s(home: str) -> float:
    """CPU seconds of everything but this process."""
    ticks = 0
    for pid in set(processes(home)) - {os.getpid()}:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def scale(replicas: int) -> float:
    """Sets the number of replicas, in place; the seconds until all of them run."""
    app = serve.deployment(Noop).options(num_replicas=replicas, ray_actor_options={"num_cpus": 0}).bind()
    params, code = build(app, "bench", "/", {}, _instance.ensure().folder).request()
    for deployment in params["deployments"]:
        deployment["code_version"] = "the same"
    began = time.perf_counter()
    _instance.call("serve.deploy", params, code)
    _instance.call("serve.wait", {"app": "bench", "until": "running"})
    return time.perf_counter() - began


def replicas() -> list[dict[str, Any]]:
    """As the status shows them."""
    status = _instance.call("serve.status")
    found: list[dict[str, Any]] = status["applications"]["bench"]["deployments"]["Noop"]["replicas"]
    return found


def startup_ms(startup: dict[str, Any]) -> float:
    """From the order to ready."""
    return 1000 * sum(float(startup.get(step, 0)) for step in _STEPS)


def show(label: str, text: str) -> None:
    """One line."""
    print(f"{label:<44} {text}", flush=True)


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--further", type=int, default=20)
    parser.add_argument("--one-by-one", type=int, default=15)
    parser.add_argument("--settle", type=float, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pb-", dir="/tmp") as home:
        os.environ["PENSTOCK_HOME"] = home
        began = time.perf_counter()
        serve.start(http_options={"port": 0})
        show("start of the instance, ms", f"{1000 * (time.perf_counter() - began):.0f}")
        show("its first replica, ms", f"{1000 * scale(1):.0f}")
        time.sleep(options.settle)
        first, roles = memory(home)
        by_role = ", ".join(f"{role} {mb:.1f}" for role, mb in roles.items())
        show("everything, one replica, MB PSS", f"{first:.1f}   ({by_role})")
        cpu, since = cpu_s(home), time.perf_counter()
        time.sleep(options.settle)
        show("idle CPU, % of a core", f"{100 * (cpu_s(home) - cpu) / (time.perf_counter() - since):.2f}")

        alone = [scale(2 + number) for number in range(options.one_by_one)]
        starts = sorted(replicas(), key=lambda replica: float(replica["start_time_s"]))[1:]
        show("a further replica alone, ms, median", f"{1000 * statistics.median(alone):.1f}   (to `running`)")
        show("  from its order to ready", f"{statistics.median(startup_ms(r['startup']) for r in starts):.1f}")
        for step in _STEPS:
            show(f"    {step[:-2]}", f"{1000 * statistics.median(r['startup'][step] for r in starts):.1f}")
        count = 1 + options.one_by_one + options.further
        show(f"{options.further} at once, ms", f"{1000 * scale(count):.0f}")
        time.sleep(options.settle)
        whole, _ = memory(home)
        show(f"everything, {count} replicas, MB PSS", f"{whole:.1f}")
        show("each further replica, MB PSS", f"{(whole - first) / (count - 1):.2f}")
        fresh = [r for r in replicas() if r["startup"]["process"] != "forked"]
        show("replicas with a process of their own", f"{len(fresh)}")
        _instance.disconnect()


if __name__ == "__main__":
    main()
