"""The table of networks is what was measured."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.unit

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import timm_models

    yield timm_models
    del sys.modules["timm_models"]


def test_the_page_shows_the_results(benchmark: ModuleType) -> None:
    table = benchmark.TABLE.search(benchmark.PAGE.read_text())
    assert table is not None
    assert table.group() == benchmark.table(json.loads(benchmark.RESULT.read_text()))


@pytest.mark.parametrize("target", ["arm", "jetson", "openvino"])
def test_hardly_any_family_is_known_not_to_reach_a_device(
    benchmark: ModuleType, target: str
) -> None:
    body = json.loads(benchmark.RESULT.read_text())
    small = [row for row in body["rows"] if row["params"] < benchmark.SMALL]
    tried = [row for row in small if target in row.get("targets", {}) or "error" in row]
    failed = [row["network"] for row in tried if not benchmark.right(row, target)]
    assert len(failed) <= (1 - benchmark.LEAST_SHARE) * len(tried), failed
