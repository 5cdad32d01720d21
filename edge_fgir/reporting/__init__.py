"""Reports: result files in, one self-contained HTML page out. Needs jinja2 when it is used."""

from edge_fgir.reporting.collect import Report
from edge_fgir.reporting.report import render, write_report
from edge_fgir.reporting.rows import Row, Timing

__all__ = ["Report", "Row", "Timing", "render", "write_report"]
