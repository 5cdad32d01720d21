"""``fit`` from end to end on generated pictures, killed and resumed, and what it refuses."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from targets import exported, loosened

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("openvino")

from edge_fgir import EdgeFgirError, InputError
from edge_fgir.benchmarking import DeviceHandle, LocalDevice, Protocol, Timing, WarmUp
from edge_fgir.data import open_data
from edge_fgir.fitting import Request, finalists, fit, networks, pipeline, sizes
from edge_fgir.fitting.journal import Journal
from edge_fgir.fitting.judging import Answers, Judge
from edge_fgir.fitting.shortlist import Shortlist
from edge_fgir.profiling import DeviceRef
from edge_fgir.results import Budget, Fit, FrigateReport, read_result
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, Classifier

HUGE = Budget(latency_ms=100_000)


class MadeUpDevice(LocalDevice):
    """Times by the pixels alone, so that a busy machine chooses as an idle one does."""

    def time(self, bundles, protocol=None) -> list[Timing]:
        sizes = [bundle.manifest.input.shape[1] for bundle in bundles]
        return [
            Timing(network_ms=s * s / 1e3, frame_ms=s * s / 1e3 + 1, tail=1.2, disturbed=False)
            for s in sizes
        ]


class MadeUpRef(DeviceRef):
    @contextmanager
    def opened(self, runtime, tell) -> Iterator[DeviceHandle]:
        with MadeUpDevice() as device:
            yield device


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny_run: Path) -> None:
    """Consider two small networks: one that starts from a run's weights, one from scratch."""
    weights = str(Run.open(tiny_run).weights)
    sides = {"probed": (32, 48), "sides": (32, 48)}
    start = networks.Architecture("lrnet14", 48, weights, mean=networks._HALF, **sides)
    own = networks.Architecture("lrnet14", 40, **sides)
    monkeypatch.setattr(networks, "PRETRAINED", (start,))
    monkeypatch.setattr(networks, "FROM_SCRATCH", (own,))
    brief = Protocol(runs=20, seconds=0.1, warm_up=WarmUp(least_s=0, most_s=0.1))
    monkeypatch.setattr(finalists, "_BENCH", brief)
    monkeypatch.setattr(sizes, "_TIMING", 1e6)  # a busy machine considers what an idle one does


def request_of(photos: Path, **changes: object) -> Request:
    ref = MadeUpRef("local", "a made-up device", None, is_at_hand=True)
    target = loosened("openvino", schemes=1)
    request = Request(open_data(str(photos)), target, ref, HUGE, minutes=0.5)
    return replace(request, **changes)


@pytest.mark.slow
def test_photographs_become_a_bundle_and_a_killed_fit_goes_on(
    small, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, lines = tmp_path / "leaves.fgir", []
    request = request_of(photos)
    with pytest.MonkeyPatch.context() as patch:

        def killed(*args: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(pipeline, "_finalists", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(request, out, tell=lines.append)
    runs = sorted(path.name for path in (tmp_path / "leaves.fit" / "runs").iterdir())
    assert runs
    assert not out.exists()
    with pytest.raises(InputError, match="add --resume"):
        fit(request, out)

    result = fit(request, out, resume=True, tell=lines.append)
    again = sorted(path.name for path in (tmp_path / "leaves.fit" / "runs").iterdir())
    assert again == runs  # nothing was trained twice
    assert read_result(tmp_path / "leaves.fit.json", Fit) == result
    assert result.test is not None
    assert result.test.top1 > 60
    assert result.teacher is None  # a head taught the other one, and has its own place
    assert result.chosen.fits
    assert Bundle(out).manifest.precision == result.chosen.precision
    with Classifier.open(out) as model:
        assert model.labels == request.data.classes
    page = (tmp_path / "leaves.html").read_text()
    assert "lrnet14" in page
    pretrained, own = result.candidates
    assert pretrained.pretrained
    assert not own.pretrained
    assert pretrained.setting.image_size == 48
    assert pretrained.trainings[0].stage == "probe"
    assert {step.name for step in result.steps} >= {"heads on frozen features"}
    assert result.seconds == pytest.approx(sum(s.seconds for s in result.steps), abs=20)
    # The chosen bundle answers as its result says.
    assert result.validation.top1 == result.chosen.accuracy.top1
    assert all(picture.picture for picture in result.test.pictures)


@pytest.mark.slow
@pytest.mark.parametrize("target", [exported("litert")])
def test_a_fit_for_frigate_tells_what_frigate_reads(
    small, photos: Path, tmp_path: Path, target: str
) -> None:
    out = tmp_path / "leaves.fgir"
    dataset = frigates_folder(photos, tmp_path / "dataset")
    request = request_of(dataset, target=loosened(target, schemes=1), program="frigate")
    result = fit(request, out)
    assert result.frigate == FrigateReport.of(Bundle(out))
    assert result.frigate.images == result.found.val
    assert result.test is not None
    assert result.test.visits is not None
    assert result.test.visits.grouping == "frigate"
    assert result.test.visits.visits < result.test.images
    assert '<section class="profile frigate">' in (tmp_path / "leaves.html").read_text()


def frigates_folder(photos: Path, root: Path) -> Path:
    """Copy split pictures to a flat folder, named as Frigate names them, three a visit."""
    for number, file in enumerate(sorted(photos.glob("*/*/*.*"))):
        when = 1_780_000_000 + 60 * (number // 3) + 0.01 * (number % 3)
        label = file.parent.name
        (root / label).mkdir(parents=True, exist_ok=True)
        name = f"{label}-{when:.6f}-{number:06d}{file.suffix}"
        shutil.copyfile(file, root / label / name)
    return root


@pytest.mark.slow
def test_a_budget_that_nothing_keeps_is_named_before_anything_is_trained(
    small, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"lrnet14 at 32 px in int8, takes 2\.02 ms.*--latency-ms"):
        fit(request_of(photos, budget=Budget(latency_ms=0.5)), tmp_path / "x.fgir")
    assert not (tmp_path / "x.fit" / "runs").exists()
    # The next one has all of its time.
    (clock,) = (tmp_path / "x.fit").glob("clock-*.json")
    clock.write_text(json.dumps({"seconds": 1e4, "steps": []}))
    with pytest.raises(InputError, match=r"takes 2\.02 ms"):
        fit(request_of(photos, budget=Budget(latency_ms=0.5)), tmp_path / "x.fgir")
    assert json.loads(clock.read_text())["seconds"] < 1e4


def test_bad_input_is_refused_before_anything_long_begins(photos: Path, tmp_path: Path) -> None:
    request = request_of(photos)
    for name in ("x", "x.html", "x.json"):
        with pytest.raises(InputError, match="a bundle's name"):
            fit(request, tmp_path / name)
    (tmp_path / "photos.fgir").mkdir()
    with pytest.raises(InputError, match="is not a bundle"):
        fit(request, tmp_path / "photos.fgir")
    (tmp_path / "zip.fgir").write_bytes(b"PK")  # which would not be replaced at the end
    with pytest.raises(InputError, match="is not a bundle folder"):
        fit(request, tmp_path / "zip.fgir")
    (tmp_path / "empty").mkdir()
    for golden, problem in (("none", "does not exist"), ("empty", "holds no pictures")):
        with pytest.raises(InputError, match=problem):
            fit(replace(request, golden=tmp_path / golden), tmp_path / "x.fgir")
    sheet = replace(request.device, name="jetson-nano", is_at_hand=False)
    with pytest.raises(InputError, match="edge-fgir profile"):
        fit(replace(request, device=sheet), tmp_path / "x.fgir")
    assert not (tmp_path / "x.fit").exists()


def test_another_data_set_does_not_resume(photos: Path, tmp_path: Path) -> None:
    work = tmp_path / "x.fit"
    (work / "runs").mkdir(parents=True)
    facts = {**request_of(photos).facts, "data": "0" * 64}
    (work / "request.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="another fit: data changed"):
        fit(request_of(photos), tmp_path / "x.fgir", resume=True)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, 10.0),  # the same request goes on
        ({"minutes": 2.0}, 120.0),
        ({"budget": Budget(latency_ms=5.0)}, 30.0),
    ],
)
def test_a_request_that_was_changed_has_all_of_its_minutes(
    changes: dict[str, Any], left: float, photos: Path, tmp_path: Path
) -> None:
    request = request_of(photos)  # half a minute
    spent = {"seconds": 20.0, "steps": []}
    (tmp_path / f"clock-{request.key}.json").write_text(json.dumps(spent))
    clock = pipeline._clock(replace(request, **changes), tmp_path, resume=True)
    assert clock.left == pytest.approx(left, abs=1)
    anew = pipeline._clock(request, tmp_path, resume=False)
    assert anew.left == pytest.approx(30, abs=1)


@pytest.mark.slow
def test_a_device_that_vanishes_is_one_line_and_nothing_is_lost(
    small, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object, **options: object) -> None:
        raise EdgeFgirError("user@board: the connection was lost")

    monkeypatch.setattr(MadeUpDevice, "bench", gone)
    out = tmp_path / "x.fgir"
    with pytest.raises(EdgeFgirError, match="the connection was lost"):
        fit(request_of(photos), out)
    assert not out.exists()
    assert list((tmp_path / "x.fit" / "bundles").glob("*.fgir"))
    shutil.rmtree(tmp_path / "x.fit")


@pytest.mark.parametrize(
    ("least", "losing", "seconds", "built"),
    [
        (None, (), 1e6, ["best", "own", "fast"]),
        (70, (), 1e6, ["fast"]),
        (85, (), 1e6, ["good"]),
        (99, (), 1e6, ["best", "good", "own"]),
        (70, ("fast", "own", "good"), 1e6, ["fast", "own", "good", "best"]),
        (70, ("fast",), 60, ["fast", "best"]),  # a second one will be late
        (85, (), 10, ["best"]),
    ],
)
def test_what_is_accurate_enough_is_built_by_its_speed(
    least: float | None, losing: tuple[str, ...], seconds: float, built: list[str], tmp_path: Path
) -> None:
    """Name: top-1, milliseconds, whether it starts from weights of others.

    An export takes 45 s, and of some half of their accuracy.
    """
    known = {"best": (95, 4, True), "good": (90, 3, True), "own": (80, 2, False)}
    known |= {"fast": (75, 1, True), "poor": (60, 0.5, True)}
    if least is None:
        del known["good"]

    def candidate(name: str) -> Any:
        architecture = SimpleNamespace(is_pretrained=known[name][2])
        return SimpleNamespace(name=name, form=name, architecture=architecture)

    trained: list[Any] = [
        SimpleNamespace(
            candidate=candidate(name), record=SimpleNamespace(accuracy=SimpleNamespace(top1=top1))
        )
        for name, (top1, _, _) in known.items()
    ]
    clock = SimpleNamespace(left=float(seconds), spent=0.0)

    def finalist(each: Any, sizes: float) -> Any:
        clock.left -= 45
        kept = 0.5 if each.candidate.name in losing else 1.0
        validation = SimpleNamespace(top1=kept * each.record.accuracy.top1)
        return SimpleNamespace(fits=True, trained=each, validation=validation)

    builder: Any = SimpleNamespace(
        budget=Budget(min_accuracy=least),
        shortlist=SimpleNamespace(at=lambda each: SimpleNamespace(ms=known[each.name][1])),
        finalist=finalist,
        clock=clock,
    )
    found = pipeline._finalists(trained, builder, Journal(tmp_path / "journal.json"))
    assert [each.trained.candidate.name for each in found] == built


@pytest.mark.parametrize(
    ("refused", "asked", "built"),
    [
        ((), ["head", "other"], ["head", "other"]),
        (("head",), ["head", "other", "tuned"], ["other", "tuned"]),
        (("head", "other", "tuned"), ["head", "other", "tuned", "last head"], ["last head"]),
    ],
)
def test_what_the_gates_refuse_leaves_other_trainings_and_then_a_last_resort(
    refused: tuple[str, ...], asked: list[str], built: list[str], tmp_path: Path
) -> None:
    lite, own = (SimpleNamespace(is_pretrained=each) for each in (True, False))
    first = SimpleNamespace(architecture=lite, form="lite")
    second = SimpleNamespace(architecture=own, form="own")
    smaller = SimpleNamespace(architecture=lite, form="lite")
    trained: list[Any] = [
        SimpleNamespace(name="head", candidate=first),
        SimpleNamespace(name="other", candidate=second),
        SimpleNamespace(name="tuned", candidate=first),
    ]
    seen: list[str] = []

    def finalist(each: Any, sizes: float) -> Any:
        seen.append(each.name)
        if each.name in refused:
            return f"{each.name} is refused"
        # The head was trained anew for a smaller size.
        at = SimpleNamespace(name="head", candidate=smaller) if each.name == "head" else each
        return SimpleNamespace(fits=True, name=each.name, trained=at)

    def last_resort(each: Any) -> Any:
        seen.append(f"last {each.name}")
        return SimpleNamespace(fits=True, name=f"last {each.name}", trained=each)

    clock = SimpleNamespace(left=1e6, spent=0.0)
    builder: Any = SimpleNamespace(
        budget=Budget(), finalist=finalist, last_resort=last_resort, clock=clock
    )
    journal = Journal(tmp_path / "journal.json")
    found: list[Any] = list(pipeline._finalists(trained, builder, journal))
    assert seen == asked
    assert [each.name for each in found] == built
    builder.last_resort = lambda each: "it is broken"
    if len(refused) == len(trained):
        with pytest.raises(EdgeFgirError, match="the export's gates: head is refused"):
            pipeline._finalists(trained, builder, journal)


def test_a_resumed_fit_looks_at_all_that_it_had_built_however_late_it_is(tmp_path: Path) -> None:
    known = {"best": True, "own": False}
    trained: list[Any] = [
        SimpleNamespace(
            candidate=SimpleNamespace(
                form=name, architecture=SimpleNamespace(is_pretrained=pretrained)
            )
        )
        for name, pretrained in known.items()
    ]
    clock = SimpleNamespace(left=1e6, spent=0.0)
    asked: list[float] = []
    builder: Any = SimpleNamespace(
        budget=Budget(),
        finalist=lambda each, sizes: (
            asked.append(sizes) or SimpleNamespace(fits=True, trained=each)
        ),
        clock=clock,
    )
    found = pipeline._finalists(trained, builder, Journal(tmp_path / "journal.json"))
    clock.left = 0.0
    again = pipeline._finalists(trained, builder, Journal(tmp_path / "journal.json"))
    assert [each.trained for each in again] == [each.trained for each in found] == trained
    late = pipeline._finalists(trained, builder, Journal(tmp_path / "another.json"))
    assert [each.trained for each in late] == trained[:1]
    # The first was built before, which says nothing of what the next would take.
    clock.left = 10.0
    late = pipeline._finalists(trained, builder, Journal(tmp_path / "third.json"))
    assert [each.trained for each in late] == trained[:1]
    # The first is built until it keeps the budget, the next as often as there is time.
    asked.clear()
    clock.left = 100.0
    pipeline._finalists(trained, builder, Journal(tmp_path / "fourth.json"))
    assert asked == [math.inf, 2]


def test_of_finalists_the_accurate_one_within_the_budget_is_chosen() -> None:
    def made(right: int, ms: float, *, fits: bool = True) -> Any:
        labels = np.arange(1000) % 4
        said = np.where(np.arange(1000) < right, labels, (labels + 1) % 4)
        logits = 5.0 * np.eye(4)[said]
        validation, cost = SimpleNamespace(top1=right / 10), SimpleNamespace(latency_ms=ms)
        return SimpleNamespace(
            judged=right / 10,
            fits=fits,
            validation=validation,
            cost=cost,
            logits=logits,
            labels=labels,
            crossed=None,
        )

    best, cheap, fast, over = made(900, 3), made(899, 2), made(850, 1), made(950, 5, fits=False)
    for judge in (Judge(by_macro=False), Judge(by_macro=True)):
        choose = partial(finalists.chosen, judge=judge)
        assert choose([fast, best, over], Budget(latency_ms=4)) is best
        assert choose([fast, best, cheap, over], Budget(latency_ms=4)) is cheap
        assert choose([made(899, 2.9), best], Budget(latency_ms=4)) is best
        assert choose([fast, best], Budget(min_accuracy=80)) is fast
        assert choose([fast, best], Budget(min_accuracy=99)) is best
        assert choose([over], Budget(latency_ms=4)) is over
        assert judge.ordered([fast, best, over]) == [over, best, fast]
        assert judge.lead(best, fast) == pytest.approx(-judge.lead(fast, best))


def test_what_is_left_out_is_told_with_the_bound_that_it_exceeds() -> None:
    slow, large = (replace(networks.PRETRAINED[0], name=name) for name in ("slow", "large"))

    def predict(candidate: networks.Candidate, precision: str) -> Any:
        ms = 9.0 if candidate.architecture is slow else 2.0
        size = 9.0 if candidate.architecture is large else 4.0
        return SimpleNamespace(ms=ms, tail=1.2, size_mb=size, measured=True)

    shortlist = Shortlist(Budget(latency_ms=5, size_mb=5), ("int8",), predict)
    considered = shortlist.of([networks.PRETRAINED[0], slow, large])
    said = pipeline._fitting(considered, shortlist)
    assert said.startswith("within the budget: tf_efficientnet_lite0 at 288 px (2.00 ms)")
    assert said.endswith("; too slow: slow; files too large: large")


def test_the_page_says_from_when_on_more_networks_are_considered() -> None:
    known = {"timm_too": False, "from_scratch_only": False}
    later = [
        each
        for each in networks.architectures(1000, **known)
        if each not in networks.architectures(15, **known)
    ]
    [sentence] = pipeline._with_more_time(later)
    assert sentence == "With --minutes 25, tf_efficientnet_lite2 would be considered as well."
    assert pipeline._with_more_time([]) == []


@pytest.mark.parametrize("by_macro", [False, True])
def test_heads_are_told_apart_by_training_pictures_they_have_not_seen(by_macro: bool) -> None:
    def answered(wrong: int, count: int) -> Answers:
        labels = np.arange(count) % 4
        said = np.where(np.arange(count) < wrong, (labels + 1) % 4, labels)
        return Answers(5.0 * np.eye(4)[said], labels)

    def head(wrong: int, crossed_wrong: int | None) -> Any:
        crossed = None if crossed_wrong is None else answered(crossed_wrong, 1000)
        validation = answered(wrong, 100)
        judged = 100.0 - wrong
        return SimpleNamespace(**validation._asdict(), judged=judged, crossed=crossed)

    judge = Judge(by_macro=by_macro)
    lucky, good, tuned = head(10, 300), head(12, 100), head(11, None)
    assert judge.best([lucky, good]) is good
    # What has learned from those pictures is held against a head on the others alone.
    assert judge.lead(lucky, tuned) > 0 > judge.lead(good, tuned)
