"""Accuracy of a run or a bundle on labelled pictures. Never imports torch."""

from edge_fgir.evaluation.accuracy import (
    confused_pairs,
    confusion,
    drop_interval,
    evaluation,
    expected_calibration_error,
    macro,
    macro_f1,
    per_class,
    top_k,
    wilson_interval,
    worst_decile,
)
from edge_fgir.evaluation.answers import answers_of
from edge_fgir.evaluation.shots import GROUPS, Shots, known_counts

__all__ = [
    "GROUPS",
    "Shots",
    "answers_of",
    "confused_pairs",
    "confusion",
    "drop_interval",
    "evaluation",
    "expected_calibration_error",
    "known_counts",
    "macro",
    "macro_f1",
    "per_class",
    "top_k",
    "wilson_interval",
    "worst_decile",
]
