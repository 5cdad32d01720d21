"""The tables of the benchmarks' page are what the committed results say."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.unit

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import page

    yield page
    for name in ("page", "tables"):
        del sys.modules[name]


def test_the_page_shows_the_results(page: ModuleType) -> None:
    text = page.PAGE.read_text()
    assert {found[1] for found in page.REGION.finditer(text)} == set(page.TABLES)
    assert page.drawn_anew(text) == text, "draw it anew: python benchmarks/page.py"


def test_every_script_is_there(page: ModuleType) -> None:
    for table in page.TABLES.values():
        if table.made_by.startswith("`benchmarks/"):
            script = table.made_by.split("`")[1]
            assert (BENCHMARKS.parent / script).is_file(), script


def test_an_interval_of_few_seeds_is_wide(page: ModuleType) -> None:
    from tables import welch

    # By hand: means 2 and 5, variances 1 and 1, four degrees of freedom, t = 2.776.
    assert welch([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == "-3.0 (-5.3 to -0.7)"
    assert welch([1.0], [4.0, 5.0, 6.0]) == "-4.0, one seed"


def test_a_paired_interval_is_over_seeds_and_of_one_seed_over_pictures(page: ModuleType) -> None:
    from tables import paired

    one, other = (
        [{"seed": seed, "test": test} for seed, test in enumerate(tests)]
        for tests in ([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    )
    # By hand: the differences 1, 2 and 3 have a deviation of 1, two degrees of freedom, t = 4.303.
    assert paired(one, other) == "+2.0 (-0.5 to +4.5)"
    assert paired(one, other[3:]) == "-"
    # 100 pictures of which 20 are won and none is lost.
    after = [{"seed": 0, "test": 60.0, "right": "1" * 60 + "0" * 40}]
    before = [{"seed": 0, "test": 40.0, "right": "1" * 40 + "0" * 60}]
    assert paired(after, before) == "+20.0 (+11.7 to +27.5)"
