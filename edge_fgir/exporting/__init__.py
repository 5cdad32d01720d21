"""From a run folder to a sealed bundle: ONNX, quantization, target builders, gates."""

from edge_fgir.exporting.builders import make_backend
from edge_fgir.exporting.export import FormBegins, Tell, export
from edge_fgir.exporting.forms import check_candidates, export_forms
from edge_fgir.exporting.frigate_graph import NONE
from edge_fgir.exporting.frigate_graph import SIDE as FRIGATE_SIDE
from edge_fgir.exporting.graph import to_onnx
from edge_fgir.exporting.options import (
    PROGRAMS,
    ExportOptions,
    check_precision,
    check_program,
    check_unknown,
)
from edge_fgir.exporting.search import Choice, Trial
from edge_fgir.exporting.source import Ancestor
from edge_fgir.exporting.target import Target, read_target, target_names
from edge_fgir.exporting.timing import timing_graph, write_timing_bundle
from edge_fgir.exporting.variants import check_variants, export_variants

__all__ = [
    "FRIGATE_SIDE",
    "NONE",
    "PROGRAMS",
    "Ancestor",
    "Choice",
    "ExportOptions",
    "FormBegins",
    "Target",
    "Tell",
    "Trial",
    "check_candidates",
    "check_precision",
    "check_program",
    "check_unknown",
    "check_variants",
    "export",
    "export_forms",
    "export_variants",
    "make_backend",
    "read_target",
    "target_names",
    "timing_graph",
    "to_onnx",
    "write_timing_bundle",
]
