"""From a run folder to a sealed bundle: ONNX, quantization, target builders, gates."""

from edge_fgir.exporting.export import Tell, export
from edge_fgir.exporting.options import ExportOptions, check_precision
from edge_fgir.exporting.search import Choice, Trial
from edge_fgir.exporting.target import Target, read_target, target_names

__all__ = [
    "Choice",
    "ExportOptions",
    "Target",
    "Tell",
    "Trial",
    "check_precision",
    "export",
    "read_target",
    "target_names",
]
