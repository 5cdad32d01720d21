"""From result files to what the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from edge_fgir._errors import InputError
from edge_fgir._run_files import RunFiles
from edge_fgir.reporting.comparison import Comparison, make_comparisons
from edge_fgir.reporting.confusions import Confusions, make_confusions
from edge_fgir.reporting.outcome import headline, outcome
from edge_fgir.reporting.pictures import embed, find_picture
from edge_fgir.reporting.rows import Row, make_rows
from edge_fgir.reporting.sweeps import SweepTable, make_sweep_tables
from edge_fgir.results import (
    Environment,
    Evaluation,
    Fit,
    Latency,
    Prediction,
    Predictions,
    Profile,
    Result,
    Sweep,
    Teachers,
    Training,
    read_result,
)
from edge_fgir.runtime import DataInfo

_MAX_CARDS = 48
_CARD_SIDE, _VIEWS_SIDE = 320, 1200

_R = TypeVar("_R", bound=Result)


@dataclass(frozen=True)
class TrainingCard:
    """A training.

    Attributes:
        training: Its result.
        views: The views picture as a data address, if there is one.
    """

    training: Training
    views: str | None


@dataclass(frozen=True)
class Card:
    """A prediction with its picture.

    Attributes:
        prediction: The answer.
        file: The picture's own name.
        picture: It as a data address; None where it is gone.
        truth: The name of its folder, where that is a known class.
    """

    prediction: Prediction
    file: str
    picture: str | None
    truth: str | None

    @property
    def is_right(self) -> bool:
        """Whether the answer is the truth."""
        return self.prediction.label == self.truth


@dataclass(frozen=True)
class Gallery:
    """The first predictions of a result."""

    result: Predictions
    cards: tuple[Card, ...]

    @property
    def judged(self) -> int:
        """How many shown predictions have a known truth."""
        return sum(card.truth is not None for card in self.cards)

    @property
    def right(self) -> int:
        """How many of those are right."""
        return sum(card.is_right for card in self.cards)

    @property
    def lost(self) -> int:
        """How many pictures were not found where they may be taken from."""
        return sum(card.picture is None for card in self.cards)

    @property
    def is_even(self) -> bool:
        """Whether several classes are shown, each about equally often."""
        shown = Counter(card.truth for card in self.cards if card.truth is not None).values()
        return len(shown) > 1 and max(shown) - min(shown) <= 1


@dataclass(frozen=True)
class Machine:
    """An environment and the captions of the results that were made in it."""

    environment: Environment
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything on the page.

    Attributes:
        title: Heading.
        outcome: The result in one sentence.
        headline: The row that sentence is about; None without a bundle.
        data: Every data set, with its licence.
        written: When the first and the last result were written.
        rows: The main table.
        comparisons: Evaluations that saw the same images, group by group.
        confusions: The pairs of classes that each first evaluation confuses, where it names them.
        fits: What was made of photographs for a device.
        profiles: What fits a device.
        sweeps: Sweeps, data set by data set.
        latencies: Measurements.
        rankings: Candidate teachers.
        trainings: Trainings.
        galleries: Predictions.
        machines: Where all this was found.
        files: The results.
    """

    title: str
    outcome: str
    headline: Row | None
    data: tuple[DataInfo, ...]
    written: tuple[datetime, datetime]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    confusions: tuple[Confusions, ...]
    fits: tuple[Fit, ...]
    profiles: tuple[Profile, ...]
    sweeps: tuple[SweepTable, ...]
    latencies: tuple[Latency, ...]
    rankings: tuple[Teachers, ...]
    trainings: tuple[TrainingCard, ...]
    galleries: tuple[Gallery, ...]
    machines: tuple[Machine, ...]
    files: tuple[Path, ...]


def collect(results: Sequence[Path], title: str = "", pictures: Sequence[Path] = ()) -> Report:
    """Read result files and the pictures they name.

    Args:
        results: Result files of any kind, in any order.
        title: Heading; by default it names the data.
        pictures: Folders whose pictures may be shown, beside those below the current folder and
            below a result's.

    Raises:
        InputError: There is none, or one of them cannot be used.
    """
    if not results:
        raise InputError(
            "no result file given",
            "training, evaluation, latency or predictions results",
            "write some with --out of edge-fgir eval, bench or predict",
        )
    files = {path: read_result(path) for path in results}
    evaluations, latencies = _of_kind(files, Evaluation), _of_kind(files, Latency)
    profiles, fits = _of_kind(files, Profile), _of_kind(files, Fit)
    evaluations += [fit.test or fit.validation for fit in fits]
    latencies += [fit.latency for fit in fits]
    rows = make_rows(evaluations, latencies)
    data = tuple(dict.fromkeys(_data_sets(files.values())))
    written = sorted(result.environment.date for result in files.values())
    trainings = tuple(
        _training_card(result, path)
        for path, result in files.items()
        if isinstance(result, Training)
    )
    classes = {each.name for e in evaluations for each in e.classes}
    galleries = tuple(_galleries(files, classes, pictures))
    comparisons = make_comparisons(rows)
    sweeps = make_sweep_tables(_of_kind(files, Sweep))
    return Report(
        title=title or _default_title(data),
        outcome=outcome(
            rows,
            fits,
            profiles,
            sweeps,
            [card.training for card in trainings],
            [gallery.result for gallery in galleries],
        ),
        headline=headline(rows),
        data=data,
        written=(written[0], written[-1]),
        rows=rows,
        comparisons=comparisons,
        confusions=make_confusions(comparisons),
        fits=tuple(fits),
        profiles=tuple(profiles),
        sweeps=sweeps,
        latencies=tuple(latencies),
        rankings=tuple(_of_kind(files, Teachers)),
        trainings=trainings,
        galleries=galleries,
        machines=_machines(files.values()),
        files=tuple(files),
    )


def _default_title(data: Iterable[DataInfo]) -> str:
    names = " and ".join(dict.fromkeys(each.name for each in data))
    return f"{names} on the edge" if names else "On the edge"


def _of_kind(files: Mapping[Path, Result], kind: type[_R]) -> list[_R]:
    return [result for result in files.values() if isinstance(result, kind)]


def _data_sets(results: Iterable[Result]) -> Iterator[DataInfo]:
    # What was tested on comes before what was trained on.
    order = (Evaluation, Fit, Sweep, Profile, Training, Teachers)
    known = [result for result in results if isinstance(result, order)]
    for result in sorted(known, key=lambda each: order.index(type(each))):
        yield from result.data if isinstance(result, Sweep) else (result.data,)


def _training_card(training: Training, path: Path) -> TrainingCard:
    picture = RunFiles(path.parent).views
    return TrainingCard(training, embed(picture, _VIEWS_SIDE) if picture.is_file() else None)


def _galleries(
    files: Mapping[Path, Result], classes: set[str], pictures: Sequence[Path]
) -> Iterator[Gallery]:
    for path, result in files.items():
        if isinstance(result, Predictions) and result.predictions:
            first = result.predictions[:_MAX_CARDS]
            yield Gallery(result, tuple(_card(each, path, classes, pictures) for each in first))


def _card(
    prediction: Prediction, result: Path, classes: set[str], pictures: Sequence[Path]
) -> Card:
    named = Path(prediction.image)
    picture = find_picture(prediction.image, result, pictures)
    return Card(
        prediction,
        named.name,
        embed(picture, _CARD_SIDE) if picture else None,
        named.parent.name if named.parent.name in classes else None,
    )


def _machines(results: Iterable[Result]) -> tuple[Machine, ...]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        machine = result.environment.model_dump_json(exclude={"date", "load_1min"})
        groups.setdefault(machine, []).append(result)
    return tuple(
        Machine(group[0].environment, tuple(dict.fromkeys(each.caption for each in group)))
        for group in groups.values()
    )
