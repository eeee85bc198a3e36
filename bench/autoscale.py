"""What a waiting-time objective costs: the policy penstock:slo beside those that are known.

    autoscale.py [--docs FILE] [--set public|held_out|all]

Needs the simulator and the traces in PENSTOCK_SIM (its README defines policies and score). Each policy
has one knob, which is swept; ours is the attainment. Asked for every second is
``penstock autoscale --stdio``, which calls the policy that a deployment's autoscaler calls.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

_KNOBS = (0.7, 0.8, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
_LEVELS = (95.0, 99.0)
_NEVER = 8.0  # times the oracle's cost, for a policy that never reaches the level
_VARIANTS = {"cq-hr": "cq", "cq-lo": "cq", "cqm-hr": "cqm"}  # one policy, two knobs
_OURS = "penstock:slo"
_HERE = Path(__file__).resolve().parent

Points = list[tuple[float, float]]  # cost in replica-seconds, attainment in percent


def _prepare(kit: Path, home: Path) -> Path:
    """A copy of the simulator that may be written to, built."""
    folder = home / "autoscale"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kit / "autoscale", folder)
    data = home / "data"
    if not data.is_symlink():
        data.symlink_to(kit / "data")
    subprocess.run(["g++", "-O2", "-std=c++17", "-o", "scale_sim", "scale_sim.cpp"], cwd=folder, check=True)
    return folder


def _sweep(folder: Path, which: str) -> list[dict[str, str]]:
    """Rows of all the peers, then of ours."""
    results = folder / f"results_{which}.csv"

    def run(**extra: str) -> list[dict[str, str]]:
        subprocess.run([sys.executable, "run_all.py", which], cwd=folder, env={**os.environ, **extra}, check=True)
        with results.open() as file:
            rows = list(csv.DictReader(file))
        results.unlink()
        return rows

    rows = run()
    penstock = Path(sys.executable).parent / "penstock"
    for knob in _KNOBS:
        for row in run(ENGINE=f"{penstock} autoscale --stdio --attainment {knob}"):
            rows.append({**row, "policy": _OURS, "knob": f"attainment={knob}"})
    return rows


def _frontier(points: Points) -> Points:
    best: Points = []
    for cost, attained in sorted(points):
        if not best or attained > best[-1][1]:
            best.append((cost, attained))
    return best


def _cost_at(points: Points, level: float) -> float | None:
    """Least cost at which ``level`` is attained, linear between neighbours; None when it never is."""
    frontier = _frontier(points)
    for index, (cost, attained) in enumerate(frontier):
        if attained >= level:
            if index == 0:
                return cost
            below, short = frontier[index - 1]
            return below + (cost - below) * (level - short) / (attained - short)
    return None


def _table(rows: list[dict[str, str]]) -> str:
    points: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        policy = _VARIANTS.get(row["policy"], row["policy"])
        points[row["trace"]][policy].append((float(row["cost"]), float(row["slo"])))
    policies = list(dict.fromkeys(policy for trace in points.values() for policy in trace))
    policies.remove("oracle")
    lines = []
    for level in _LEVELS:
        lines += [
            f"Replica-seconds (thousands) for {level:g} % of requests to start in time",
            "",
            "| trace | " + " | ".join([*policies, "oracle", "ours / cheapest other"]) + " |",
            "|---|" + "---|" * (len(policies) + 2),
        ]
        ratios: dict[str, list[float]] = defaultdict(list)
        for trace, known in points.items():
            costs = {policy: _cost_at(known[policy], level) for policy in [*policies, "oracle"]}
            oracle = costs["oracle"]
            if oracle is None:
                raise SystemExit(f"the oracle does not reach {level} % on {trace}")
            for policy in policies:
                cost = costs[policy]
                ratios[policy].append(_NEVER if cost is None else min(_NEVER, cost / oracle))
            others = [costs[p] for p in policies if p != _OURS and costs[p] is not None]
            ours = costs[_OURS]
            ratio = "-" if ours is None else f"{ours / min(others):.2f}" if others else "no other reaches it"
            cells = ["-" if cost is None else f"{cost / 1000:.1f}" for cost in costs.values()]
            lines.append(f"| {trace} | " + " | ".join([*cells, ratio]) + " |")
        means = [f"{math.exp(sum(map(math.log, ratios[p])) / len(ratios[p])):.2f}" for p in policies]
        lines += ["| times the oracle, geometric mean | " + " | ".join([*means, "1.00", ""]) + " |", ""]
    return "\n".join(lines)


def main() -> None:
    """Prints the table; with --docs writes it there too."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--docs", type=Path)
    options.add_argument("--set", default="public", choices=["public", "held_out", "all"])
    given = options.parse_args()
    kit = Path(os.environ.get("PENSTOCK_SIM", _HERE.parent.parent / "shared" / "sim"))
    if not (kit / "autoscale").is_dir():
        raise SystemExit(f"bench: no simulator in {kit} (PENSTOCK_SIM)")
    home = _HERE.parent / "build" / "sim"
    home.mkdir(parents=True, exist_ok=True)
    text = _table(_sweep(_prepare(kit, home), given.set))
    print(text)
    if given.docs:
        title = "# What a waiting-time objective costs\n\nPrinted by `./x bench autoscale`; the kit's README defines\n"
        how = "policies, traces and score. A dash: never reached, which counts as 8 times the oracle.\n\n"
        given.docs.write_text(title + how + text)


if __name__ == "__main__":
    main()
