"""A table of tries and losses at the end of a run of the attacks."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print, for each file of attacks, how many were tried and how many were not held off."""
    tried: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            if report.nodeid.startswith("tests/attacks/") and report.when == "call":
                name = report.nodeid.split("::")[0].removesuffix(".py").split("test_")[-1]
                tried[name] += 1
                lost[name] += outcome != "passed"
    if tried:
        terminalreporter.write_line("")
        for name in sorted(tried):
            terminalreporter.write_line(
                f"{name.replace('_', ' '):20} {tried[name]:5} tried {lost[name]:4} lost"
            )
