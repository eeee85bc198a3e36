"""Measures Penstock and its peers back to back, round by round, and holds the figures to bars.

    compare.py --kit KIT [first|path ...] [--rounds N] [--seconds S] [--out FILE.jsonl] [--docs FILE.md]

Every round visits every system of a case one after the other; a ratio is of one round, what is
printed is the median over the rounds. Exit status 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Optional

from rows import OWN_CASES, SETS, Row

# Ray Serve takes many seconds to start: it is seen in every round but measured for less long.
_SLOW = {"ray", "ray-haproxy"}
_FIXED = {"cold", "mem", "handle"}  # cases without connections


def systems_file(kit: Path, folder: str) -> Path:
    """Describes us to the kit."""
    ours = {
        "penstock": {
            "cmd": [sys.executable, str(kit / "apps" / "serve_app.py")],
            "env": {"SERVE_MODULE": "penstock.serve"},
            "url": "http://127.0.0.1:{port}/",
            "control": True,
        }
    }
    path = Path(folder) / "systems.json"
    path.write_text(json.dumps(ours))
    return path


def measure(kit: Path, systems: Path, system: str, case: str, conns: list[int], seconds: int) -> list[dict[str, Any]]:
    """One visit: a line a point, or one with an error."""
    if case in OWN_CASES:
        command = [sys.executable, str(Path(__file__).with_name("wire.py")), "--kit", str(kit)]
        command += ["--system", system, "--case", case, "--seconds", str(seconds)]
    else:
        command = [sys.executable, str(kit / "bench.py"), "--system", system, "--case", case]
        command += ["--systems-file", str(systems), "--dur", str(seconds), "--limit", "240"]
    if conns:
        command += ["--conns", ",".join(map(str, conns))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return lines or [{"system": system, "case": case, "error": done.stderr.strip()[-300:]}]


def plan(rows: list[Row]) -> dict[str, tuple[list[str], list[int]]]:
    """Per case: the systems to visit, ours first, and the numbers of connections."""
    cases: dict[str, tuple[list[str], list[int]]] = {}
    for row in rows:
        systems, conns = cases.setdefault(row.case, ([], []))
        for system in (row.ours, row.peer):
            if system and system not in systems:
                systems.append(system)
        if row.conns and row.conns not in conns:
            conns.append(row.conns)
    return cases


def dig(point: dict[str, Any], metric: str) -> Optional[float]:
    """The metric's value in a point, if it has one."""
    value: Any = point
    for key in metric.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, (int, float)) else None


class Results:
    """Points by (system, case, connections, round)."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, str, Optional[int], int], dict[str, Any]] = {}
        self.errors: collections.Counter[str] = collections.Counter()

    def add(self, point: dict[str, Any], number: int) -> None:
        """Keeps a point of round ``number``."""
        if "error" in point or "err" in point:
            text = point.get("error") or point.get("err")
            self.errors[f"{point['system']} {point['case']}: {text}"] += 1
            return
        if point.get("errors"):
            self.errors[f"{point['system']} {point['case']} {point.get('conns')}: failed requests"] += point["errors"]
        self.points[point["system"], point["case"], point.get("conns"), number] = point

    def values(self, row: Row, rounds: int) -> list[tuple[float, Optional[float]]]:
        """(ours, peer's) of every round that has both."""
        found = []
        for number in range(rounds):
            ours = dig(self.points.get((row.ours, row.case, row.conns, number), {}), row.metric)
            peer = None
            if row.peer:
                case = row.peer_case or row.case
                peer = dig(self.points.get((row.peer, case, row.conns, number), {}), row.metric)
            if ours is not None and (peer or not row.peer):
                found.append((ours, peer))
        return found


def table(rows: list[Row], results: Results, rounds: int) -> tuple[str, int]:
    """The figures as a Markdown table, and how many miss their bar."""
    lines = ["| figure | ours | peer | median | bar | holds |", "|---|---|---|---|---|---|"]
    missed = 0
    for row in rows:
        pairs = results.values(row, rounds)
        if not pairs:
            lines.append(f"| {row.label} | - | {row.peer or '-'} | not measured | {row.bar} | no |")
            missed += 1
            continue
        ratios = [ours / peer if peer else ours for ours, peer in pairs]
        middle = statistics.median(ratios)
        ours = statistics.median(o for o, _ in pairs)
        peer = f"{row.peer} {statistics.median(p for _, p in pairs if p):,.6g}" if row.peer else "-"
        spread = f"{min(ratios):.3g}..{max(ratios):.3g}"
        holds = row.holds(middle)
        missed += not holds
        lines.append(
            f"| {row.label} | {ours:,.6g} | {peer} | **{middle:.3g}**{'x' if row.peer else ''} ({spread}) "
            f"| {row.bar} | {'yes' if holds else '**no**'} |"
        )
    return "\n".join(lines), missed


def main() -> int:
    """Runs the sets; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[], help=f"of {', '.join(SETS)}; default: first")
    parser.add_argument("--kit", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", help="cases to measure, comma-separated")
    parser.add_argument("--without", default="", help="peers to leave out, comma-separated")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    rows = [row for name in options.sets or ["first"] for row in SETS[name]]
    if options.only:
        rows = [row for row in rows if row.case in options.only.split(",")]
    rows = [row for row in rows if row.peer not in options.without.split(",")]
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        systems = systems_file(options.kit.resolve(), folder)
        for number in range(options.rounds):
            for case, (visited, conns) in plan(rows).items():
                for system in visited:
                    seconds = options.seconds if system not in _SLOW else min(2, options.seconds)
                    for point in measure(options.kit, systems, system, case, conns, seconds):
                        point["round"] = number
                        results.add(point, number)
                        if options.out:
                            with options.out.open("a") as file:
                                file.write(json.dumps(point) + "\n")
                    print(f"round {number + 1}/{options.rounds}: {case} {system}", file=sys.stderr, flush=True)
    text, missed = table(rows, results, options.rounds)
    notes = [f"- {count}x {error}" for error, count in sorted(results.errors.items())]
    head = (
        f"{options.rounds} interleaved rounds, medians of same-round ratios (smallest..largest); "
        f"{platform.machine()}, {len(__import__('os').sched_getaffinity(0))} cores, {datetime.date.today()}."
    )
    page = "\n".join([head, "", text, "", *notes]).rstrip() + "\n"
    print(page)
    if options.docs:
        options.docs.write_text(f"# Figures: {' '.join(options.sets or ['first'])}\n\n{page}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
