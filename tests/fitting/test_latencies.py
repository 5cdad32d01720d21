"""What is timed before anything is trained: which sizes and for how long, on a made-up device."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import samples

pytest.importorskip("torch")
pytest.importorskip("onnx")

from edge_fgir._errors import GateError
from edge_fgir.exporting import read_target
from edge_fgir.fitting import latencies
from edge_fgir.fitting.clock import Clock
from edge_fgir.fitting.latencies import LatencyTable, probes
from edge_fgir.fitting.networks import FROM_SCRATCH, PRETRAINED, Architecture
from edge_fgir.fitting.recipes import Recipes
from edge_fgir.fitting.shortlist import Considered, Shortlist
from edge_fgir.fitting.sizes import timed_sizes
from edge_fgir.results import Budget

pytestmark = pytest.mark.unit

LITE, OWN = PRETRAINED[0], FROM_SCRATCH[0]
BUILDING = 10.0
"""Seconds that the bundles of a network take in a precision."""


class Fit:
    """A fit before its first training, with a clock and a device that are made up.

    A picture takes a millisecond more above 150 px, where preprocessing reads all of its pixels;
    INT8 takes half of what the network takes in float. ``slower`` holds what the next timings are
    disturbed by.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, minutes: float = 60) -> None:
        self.now, self.built, self.lines = 0.0, list[tuple[str, int]](), list[str]()
        self.refused = ""
        self.slower = list[float]()
        monkeypatch.setattr(latencies, "build_probes", self._build)
        identity = SimpleNamespace(model_dump=lambda mode: {"name": "made up"})
        device: Any = SimpleNamespace(identity=identity, versions={}, time=self._time)
        data: Any = SimpleNamespace(classes=("a", "b"), info=samples.DATA)
        self.clock = Clock(60 * minutes, folder / "clock.json", lambda: self.now)
        recipes = Recipes(1000, balanced=False)
        target = read_target("openvino")
        self.table = LatencyTable(device, target, data, recipes, folder / "latencies.json")

    def _build(self, described, target, precision, graphs, out) -> list[Any]:
        self.now += BUILDING
        if described[0].name == self.refused:
            raise GateError(f"{self.refused} has an operator of its own")
        self.built += [(each.name, each.preprocess.size) for each in described]
        return [
            SimpleNamespace(size=each.preprocess.size, precision=precision, model_size=3_400_000)
            for each in described
        ]

    def _time(self, bundles, protocol) -> list[Any]:
        self.now += 5
        slower = self.slower.pop(0) if self.slower else 1.0
        return [
            SimpleNamespace(
                frame_ms=(each.size / 128) ** 2 * (1 if each.precision == "int8" else 2) * slower
                + (each.size > 150),
                tail=1.2,
            )
            for each in bundles
        ]

    def considered(self, *architectures: Architecture, ms: float) -> list[Considered]:
        table = self.table
        shortlist = Shortlist(Budget(latency_ms=ms), table.precisions, table.of)
        return timed_sizes(architectures, table, shortlist, self.clock, self.lines.append)


@pytest.mark.parametrize(("ms", "side"), [(0.7, 96), (1.5, 144), (2.45, 144), (3.0, 176)])
def test_what_is_chosen_was_timed_at_its_own_size_and_so_was_the_next(
    ms: float, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Fit(tmp_path, monkeypatch)
    (found,) = fit.considered(LITE, ms=ms)
    assert found.candidate.image_size == side
    assert found.fits
    assert all(each.measured for each in found.latencies)
    assert (LITE.name, side + 16) in fit.built
    # A further call, as that of a resumed fit, times nothing again.
    fit.built.clear()
    assert fit.considered(LITE, ms=ms) == [found]
    assert fit.built == []


@pytest.mark.parametrize(
    ("slower", "minutes", "side"),
    [
        ([1, 1.6], 60, 128),
        ([1, 1.7, 1.6], 60, 128),
        ([1, 1.6], 3, 96),
        ([1, 1.6, 1.6, 1.6], 60, 96),
    ],
)
def test_a_size_that_takes_longer_than_its_neighbours_say_is_timed_again(
    slower: list[float],
    minutes: float,
    side: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """128 px keep the budget in truth; 112 and 128 are timed after the first two sizes."""
    fit = Fit(tmp_path, monkeypatch, minutes)
    fit.slower = list(slower)
    (found,) = fit.considered(LITE, ms=1.1)
    assert found.candidate.image_size == side


@pytest.mark.parametrize(
    ("slower", "fits"), [([1.6, 1.4, 1.3], True), ([1.6, 1.4] + 60 * [1.3], False), ([2, 2], False)]
)
def test_where_nothing_fits_but_nearly_it_is_timed_again(
    slower: list[float], fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 px keep the budget in truth: they take 0.25 ms."""
    fit = Fit(tmp_path, monkeypatch)
    fit.slower = list(slower)
    (found,) = fit.considered(LITE, ms=0.28)
    assert (found.candidate.image_size, found.fits) == (64, fits)
    nearly = max(slower[1:]) < 1.6
    assert ("nothing fits, but nearly: timed again" in " ".join(fit.lines)) == nearly
    assert fit.now < 60 * 60 * 0.26


@pytest.mark.parametrize(
    ("minutes", "refused", "exact"),
    [(60, [], True), (2, [], False), (0.5, [OWN], False)],
)
def test_a_quarter_of_the_time_is_for_latencies(
    minutes: float,
    refused: list[Architecture],
    exact: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The probes of a network take 20 s of 15 minutes, of 30 s or of 7.5 s."""
    fit = Fit(tmp_path, monkeypatch, minutes)
    found = fit.considered(LITE, OWN, ms=1.5)
    assert list(fit.table.refused) == refused
    assert {each.candidate.architecture for each in found} == {LITE, OWN} - set(refused)
    # Where the time is over, sizes follow from those that were timed.
    assert all(each.measured for one in found for each in one.latencies) == exact
    if not exact:
        assert {size for name, size in fit.built if name == LITE.name} == set(LITE.probed)


def test_a_network_that_cannot_be_built_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Fit(tmp_path, monkeypatch)
    fit.refused = OWN.name
    (found,) = fit.considered(OWN, LITE, ms=1.5)
    assert found.candidate.architecture == LITE
    assert fit.table.refused == {OWN: f"{OWN.name} has an operator of its own"}


def test_pictures_are_prepared_as_for_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Fit(tmp_path, monkeypatch)
    candidate = probes(LITE)[0]
    recipe = Recipes(1000, balanced=False).probe(candidate)
    assert fit.table.described(candidate).preprocess == recipe.preprocess
