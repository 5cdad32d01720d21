"""From result files to what the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from edge_fgir._errors import InputError
from edge_fgir.reporting.body import Body, Environment
from edge_fgir.reporting.comparison import Comparison, make_comparisons
from edge_fgir.reporting.documents import (
    Document,
    Evaluation,
    Latency,
    Prediction,
    Predictions,
    Subject,
    Sweep,
    Teachers,
    Training,
    read_document,
)
from edge_fgir.reporting.mixups import Mixups, make_mixups
from edge_fgir.reporting.outcome import headline, outcome
from edge_fgir.reporting.pictures import embed, find_picture
from edge_fgir.reporting.profile_documents import Profile
from edge_fgir.reporting.rows import Row, make_rows
from edge_fgir.reporting.sweeps import Trial, make_trials
from edge_fgir.runtime.manifest import DataInfo

VIEWS = "pictures/views.png"
"""Beside a training result: what the teacher makes of the images, one row a view."""

_MAX_CARDS = 48
_CARD_SIDE, _VIEWS_SIDE = 320, 1200

_B = TypeVar("_B", bound=Body)


@dataclass(frozen=True)
class Run:
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
    """The first predictions of one result; ``total`` counts all of them."""

    subject: Subject
    cards: tuple[Card, ...]
    total: int

    @property
    def judged(self) -> int:
        """How many shown predictions have a known truth."""
        return sum(card.truth is not None for card in self.cards)

    @property
    def right(self) -> int:
        """How many of those are right."""
        return sum(card.is_right for card in self.cards)

    @property
    def is_even(self) -> bool:
        """Whether several classes are shown, each about equally often."""
        shown = Counter(card.truth for card in self.cards if card.truth is not None).values()
        return len(shown) > 1 and max(shown) - min(shown) <= 1


@dataclass(frozen=True)
class Machine:
    """An environment and the results that were made in it."""

    environment: Environment
    uses: tuple[str, ...]


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
        mixups: The pairs of classes that each first evaluation confuses, where it names them.
        profiles: What fits a device.
        trials: Sweeps, data set by data set.
        latencies: Measurements.
        rankings: Candidate teachers.
        runs: Trainings.
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
    mixups: tuple[Mixups, ...]
    profiles: tuple[Profile, ...]
    trials: tuple[Trial, ...]
    latencies: tuple[Latency, ...]
    rankings: tuple[Teachers, ...]
    runs: tuple[Run, ...]
    galleries: tuple[Gallery, ...]
    machines: tuple[Machine, ...]
    files: tuple[Path, ...]


def collect(results: Sequence[Path], title: str = "") -> Report:
    """Read result files and the pictures they name.

    Args:
        results: Result files of any kind, in any order.
        title: Heading; by default it names the data.

    Raises:
        InputError: There is none, or one of them cannot be used.
    """
    if not results:
        raise InputError(
            "no result file given",
            "training, evaluation, latency or predictions results",
            "write some with --out of edge-fgir eval, bench or predict",
        )
    documents = [read_document(path) for path in dict.fromkeys(results)]
    evaluations, latencies = _all(documents, Evaluation), _all(documents, Latency)
    rows = make_rows(evaluations, latencies)
    data = tuple(dict.fromkeys(_data(documents)))
    written = sorted(document.body.environment.date for document in documents)
    runs = tuple(_run(one.body, one.path) for one in documents if isinstance(one.body, Training))
    galleries = tuple(_galleries(documents, {c.name for one in evaluations for c in one.classes}))
    comparisons = make_comparisons(rows)
    profiles = _all(documents, Profile)
    trials = make_trials(_all(documents, Sweep))
    return Report(
        title=title or _default_title(data),
        outcome=outcome(
            rows, profiles, trials, [run.training for run in runs], [g.subject for g in galleries]
        ),
        headline=headline(rows),
        data=data,
        written=(written[0], written[-1]),
        rows=rows,
        comparisons=comparisons,
        mixups=make_mixups(comparisons),
        profiles=tuple(profiles),
        trials=trials,
        latencies=tuple(latencies),
        rankings=tuple(_all(documents, Teachers)),
        runs=runs,
        galleries=galleries,
        machines=_machines(documents),
        files=tuple(document.path for document in documents),
    )


def _default_title(data: Iterable[DataInfo]) -> str:
    names = " and ".join(dict.fromkeys(one.name for one in data))
    return f"{names} on the edge" if names else "On the edge"


def _all(documents: Iterable[Document], kind: type[_B]) -> list[_B]:
    return [document.body for document in documents if isinstance(document.body, kind)]


def _data(documents: Iterable[Document]) -> list[DataInfo]:
    # What was tested on comes before what was trained on.
    tested = [body.data for body in _all(documents, Evaluation)]
    learned = [body.data for body in _all(documents, Training)]
    tried = [data for body in _all(documents, Sweep) for data in body.data]
    tried += [body.data for body in _all(documents, Profile)]
    return tested + tried + learned + [body.data for body in _all(documents, Teachers)]


def _run(training: Training, path: Path) -> Run:
    picture = path.parent / VIEWS
    return Run(training, embed(picture, _VIEWS_SIDE) if picture.is_file() else None)


def _galleries(documents: Iterable[Document], classes: set[str]) -> Iterable[Gallery]:
    for document in documents:
        if isinstance(document.body, Predictions) and document.body.predictions:
            shown = document.body.predictions[:_MAX_CARDS]
            cards = tuple(_card(one, document.path, classes) for one in shown)
            yield Gallery(document.body, cards, len(document.body.predictions))


def _card(prediction: Prediction, result: Path, classes: set[str]) -> Card:
    named = Path(prediction.image)
    found = find_picture(prediction.image, result)
    return Card(
        prediction,
        named.name,
        embed(found, _CARD_SIDE) if found else None,
        named.parent.name if named.parent.name in classes else None,
    )


def _machines(documents: Iterable[Document]) -> tuple[Machine, ...]:
    groups: dict[str, list[Document]] = {}
    for document in documents:
        same = document.body.environment.model_copy(update={"load_1min": None})
        groups.setdefault(same.model_dump_json(), []).append(document)
    return tuple(
        Machine(group[0].body.environment, tuple(dict.fromkeys(one.body.use for one in group)))
        for group in groups.values()
    )
