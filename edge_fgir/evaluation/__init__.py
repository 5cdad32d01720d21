"""Accuracy of a run or a bundle on labelled pictures. Never imports torch."""

from edge_fgir.evaluation.accuracy import (
    Floats,
    Labels,
    clustered_interval,
    confused_pairs,
    confusion,
    drop_interval,
    expected_calibration_error,
    macro,
    macro_f1,
    per_class,
    top_k,
    wilson_interval,
    worst_decile,
)
from edge_fgir.evaluation.bundles import BundlePredictor
from edge_fgir.evaluation.decision import Views, compare_answers, compare_models
from edge_fgir.evaluation.evaluate import (
    Answers,
    Predictor,
    answers,
    check_classes,
    class_difference,
    evaluate,
    top1,
)
from edge_fgir.evaluation.metric import Metric, SingleLabel
from edge_fgir.evaluation.shots import GROUPS, Shots, known_counts
from edge_fgir.evaluation.thresholds import precision_thresholds
from edge_fgir.evaluation.visits import FRIGATE, Visits, visit_accuracy

__all__ = [
    "FRIGATE",
    "GROUPS",
    "Answers",
    "BundlePredictor",
    "Floats",
    "Labels",
    "Metric",
    "Predictor",
    "Shots",
    "SingleLabel",
    "Views",
    "Visits",
    "answers",
    "check_classes",
    "class_difference",
    "clustered_interval",
    "compare_answers",
    "compare_models",
    "confused_pairs",
    "confusion",
    "drop_interval",
    "evaluate",
    "expected_calibration_error",
    "known_counts",
    "macro",
    "macro_f1",
    "per_class",
    "precision_thresholds",
    "top1",
    "top_k",
    "visit_accuracy",
    "wilson_interval",
    "worst_decile",
]
