"""Hostile input, damaged input and interruptions: how many were tried, and what was not held off.

    .venv/bin/python benchmarks/attacks.py

runs what ``make attacks``, ``make faults`` and ``make fuzz`` run, a process each, and counts. A try
is a test, or a mutated input; lost is one that did not go as it must. What cannot be tried on this
machine (a library that is not installed) is counted as skipped.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from rows import keep

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "attacks.json"
FUZZED = "fuzz"


def asked_of_pytest(goal: str) -> list[str]:
    """Return what a goal of the Makefile gives to pytest."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rule = re.search(rf"^{goal}:.*\n\t(.*)$", text, re.MULTILINE)
    if rule is None:
        raise SystemExit(f"the Makefile has no {goal}")
    return shlex.split(re.split(r"-m pytest|\$\(PYTEST\)", rule[1])[-1])


def tests_of(goal: str) -> Iterator[tuple[str, str]]:
    """Run a goal's tests, and yield the file and the outcome of each."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [*asked_of_pytest(goal), f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
        for case in ElementTree.parse(report).iter("testcase"):
            found = {child.tag for child in case}
            outcome = "lost" if found & {"failure", "error"} else "tried"
            yield case.attrib["classname"], "skipped" if "skipped" in found else outcome


def fuzzed(cases: int) -> Iterator[tuple[str, Counter[str]]]:
    """Yield each parser with what became of its inputs."""
    sys.path.append(str(ROOT / "tests"))
    from fuzz import fuzz

    for parser, tally in fuzz(cases, seed=0).items():
        lost = len(tally.faults)
        yield parser, Counter(tried=tally.accepted + tally.refused + lost, lost=lost)


def main() -> None:
    """Run all, and keep a row of each part."""
    options = argparse.ArgumentParser(description="Counts attacks, faults and mutated inputs.")
    options.add_argument("--goals", nargs="+", default=["attacks", "faults", FUZZED])
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--out", type=Path, default=RESULT)
    given = options.parse_args()
    for goal in given.goals:
        counts: dict[str, Counter[str]] = {}
        if goal == FUZZED:
            counts.update(fuzzed(given.cases))
        else:
            for part, outcome in tests_of(goal):
                part = part.rsplit(".", 1)[-1].removeprefix("test_").replace("_", " ")
                tally = counts.setdefault(part, Counter())
                tally[outcome] += 1
                tally["tried"] += outcome == "lost"
        for part, tally in sorted(counts.items()):
            row = {"goal": goal, "part": part}
            row |= {name: tally[name] for name in ("tried", "lost", "skipped")}
            keep(given.out, "attacks", row, ("goal", "part"))


if __name__ == "__main__":
    main()
