"""Measuring: protocol, environment, results. Imports only the runtime; never torch."""

from edge_fgir.benchmarking.environment import environment
from edge_fgir.benchmarking.results import KINDS, read_result, write_result

__all__ = ["KINDS", "environment", "read_result", "write_result"]
