"""Reports: result files in, one self-contained HTML page out. Needs jinja2 when it is used."""

from edge_fgir.reporting.class_sizes import save_class_sizes
from edge_fgir.reporting.classes import classes_table
from edge_fgir.reporting.collect import Report
from edge_fgir.reporting.columns import row_values
from edge_fgir.reporting.pictures import thumbnails
from edge_fgir.reporting.report import render, write_report
from edge_fgir.reporting.rows import Row, Timing
from edge_fgir.reporting.terminal import terminal_table

__all__ = [
    "Report",
    "Row",
    "Timing",
    "classes_table",
    "render",
    "row_values",
    "save_class_sizes",
    "terminal_table",
    "thumbnails",
    "write_report",
]
