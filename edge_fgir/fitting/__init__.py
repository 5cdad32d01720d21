"""From photographs to the best bundle: latency first, then training within the minutes given."""

from edge_fgir.fitting.pipeline import REPORT, RESULT, WORK, Request, fit

__all__ = ["REPORT", "RESULT", "WORK", "Request", "fit"]
