"""Accuracy a visit: what a camera that votes over several pictures of one thing gets right.

Pictures of one visit (a bird at a feeder, a burst, a walk round a car) resemble each other, so they
are neither independent trials nor what the user of a camera counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_fgir._errors import InputError
from edge_fgir.data import DataSet, Sample, captured_at, frigate_visits, is_frigates
from edge_fgir.evaluation.accuracy import Floats, Labels, clustered_interval, wilson_interval
from edge_fgir.results import VisitAccuracy
from edge_fgir.runtime.decisions import vote_of

_WORDS = "folder, frigate, name:REGEX with a group, or time:SECONDS"

FRIGATE = "frigate"


@dataclass(frozen=True)
class Visits:
    """How pictures are taken together; always within a class.

    Attributes:
        word: As it was asked for, see :meth:`parse`.
        pattern: Of ``name``: what its groups find in a file's name is the visit.
        gap_s: Of ``time``: a longer pause between two pictures begins another visit, s.
        lenient: Of ``frigate``: every picture may have another name, and be on its own.
    """

    word: str
    pattern: re.Pattern[str] | None = None
    gap_s: float | None = None
    lenient: bool = False

    @classmethod
    def parse(cls, word: str) -> Visits:
        """Read a grouping.

        Args:
            word: ``folder``: a visit's pictures lie in one folder, inside their class's; what lies
                in the class's own is on its own.
                ``frigate``: by the names that Frigate gives; what has another is on its own.
                ``name:REGEX``: the groups of the expression find the visit in the file's name.
                ``time:SECONDS``: by the camera's clock (EXIF), where no longer pause parts them.

        Raises:
            InputError: It is none of these.
        """
        kind, _, rest = word.partition(":")
        if word in ("folder", FRIGATE):
            return cls(word)
        if kind == "name":
            try:
                pattern = re.compile(rest)
            except re.error as error:
                raise InputError(f"visits {word}: {error}", "a regular expression") from error
            if not pattern.groups:
                raise InputError(
                    f"visits {word} has no group", "one that finds the visit: name:([0-9]+)_"
                )
            return cls(word, pattern=pattern)
        if kind == "time":
            try:
                gap_s = float(rest)
            except ValueError:
                gap_s = math.nan
            if not 0 < gap_s < math.inf:
                raise InputError(f"visits {word}", "seconds, such as time:60")
            return cls(word, gap_s=gap_s)
        raise InputError(f"visits {word}", _WORDS)

    def numbers(self, data: DataSet, samples: Sequence[Sample]) -> npt.NDArray[np.int64]:
        """Return each picture's visit, (N,), counted from 0.

        Raises:
            InputError: The pictures do not tell.
        """
        if self.word == FRIGATE:
            names = [sample.path.name for sample in samples]
            if not (self.lenient or any(map(is_frigates, names))):
                raise InputError(
                    f"none of {len(names)} pictures, such as {names[0]}, has a name of Frigate's",
                    "CLASS-TIME-RANDOM.png, as in its clips folder",
                    "group by folder, name:REGEX or time:SECONDS",
                )
            return frigate_visits(names, [sample.label for sample in samples])
        if self.gap_s is not None:
            keys = self._by_time(samples, self.gap_s)
        elif self.pattern is not None:
            keys = [(sample.label, _found(self.pattern, sample)) for sample in samples]
        else:
            keys = self._by_folder(data, samples)
        number: dict[Hashable, int] = {}
        return np.array([number.setdefault(key, len(number)) for key in keys])

    @staticmethod
    def _by_folder(data: DataSet, samples: Sequence[Sample]) -> list[Hashable]:
        remedy = "group by name:REGEX or time:SECONDS"
        if any(sample.part is not None for sample in samples):
            raise InputError(
                f"data {data.name} lies in shards, such as {samples[0].file.name}",
                "folders of visits inside those of the classes",
                remedy,
            )
        loose = [sample.path.parent.name == data.classes[sample.label] for sample in samples]
        keys: list[Hashable] = [
            ("loose", place) if is_loose else (sample.label, sample.path.parent)
            for place, (sample, is_loose) in enumerate(zip(samples, loose, strict=True))
        ]
        # Classes may have other names than their folders.
        inside = any(data.classes[sample.label] in sample.path.parts[:-2] for sample in samples)
        one_each = len(set(keys)) == len({sample.label for sample in samples}) < len(samples)
        if all(loose) or (one_each and not inside):
            raise InputError(
                f"data {data.name} has one folder a class, such as {samples[0].path.parent}",
                "folders of visits inside them",
                remedy,
            )
        return keys

    @staticmethod
    def _by_time(samples: Sequence[Sample], gap_s: float) -> list[Hashable]:
        times = [captured_at(sample) for sample in samples]
        if all(time is None for time in times):
            raise InputError(
                f"none of {len(samples)} pictures, such as {samples[0].path.name}, tells when it "
                "was taken (EXIF DateTimeOriginal)",
                "the camera's own files",
                "group by folder or name:REGEX",
            )
        # A picture without a time is a visit of its own.
        keys: list[Hashable] = [("undated", place) for place in range(len(samples))]
        dated = [
            (sample.label, time, place)
            for place, (sample, time) in enumerate(zip(samples, times, strict=True))
            if time is not None
        ]
        visit, before = 0, (-1, 0.0)
        for label, time, place in sorted(dated):
            if label != before[0] or time - before[1] > gap_s:
                visit += 1
            keys[place], before = visit, (label, time)
        return keys


def _found(pattern: re.Pattern[str], sample: Sample) -> tuple[str | None, ...]:
    match = pattern.search(sample.path.name)
    if match is None:
        raise InputError(
            f"{sample.path.name} has no {pattern.pattern}", "it in every picture's name"
        )
    return match.groups()


def visit_accuracy(
    word: str, visits: npt.NDArray[np.int64], probabilities: Floats, labels: Labels
) -> VisitAccuracy:
    """Return how many visits are answered right when their pictures vote.

    Each picture is one vote, as a moment is in :class:`~edge_fgir.runtime.Tracker`: the answer has
    the largest mean of log-probabilities.

    Args:
        word: How they were grouped.
        visits: (N,) numbers from 0.
        probabilities: (N, K).
        labels: (N,), one in all of a visit.
    """
    images = np.bincount(visits)
    votes = np.zeros((len(images), probabilities.shape[1]))
    np.add.at(votes, visits, vote_of(probabilities))
    truth = np.zeros(len(images), np.int64)
    truth[visits] = labels
    top1 = float(100 * np.mean(votes.argmax(axis=1) == truth))
    return VisitAccuracy(
        grouping=word,
        visits=len(images),
        largest=int(images.max()),
        single=int(np.sum(images == 1)),
        top1=top1,
        top1_interval=wilson_interval(top1, len(images)),
        picture_interval=clustered_interval(probabilities.argmax(axis=1) == labels, visits),
    )
