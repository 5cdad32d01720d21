"""Sweeps: many trainings from one file, on Ray; their table and their Pareto front."""

from edge_fgir.sweeping.cell_run import Outcome
from edge_fgir.sweeping.cells import Cell, changes_text
from edge_fgir.sweeping.run import REPORT, RESULT, run_sweep
from edge_fgir.sweeping.sweep import Sweep, read_sweep

__all__ = [
    "REPORT",
    "RESULT",
    "Cell",
    "Outcome",
    "Sweep",
    "changes_text",
    "read_sweep",
    "run_sweep",
]
