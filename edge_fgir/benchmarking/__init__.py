"""Measuring: protocol, accuracy, environment, results. Imports only the runtime; never torch."""

from edge_fgir.benchmarking.bundle_bench import bench
from edge_fgir.benchmarking.environment import environment
from edge_fgir.benchmarking.protocol import Latency, Protocol, WarmUp, measure, warm_up
from edge_fgir.benchmarking.results import KINDS, read_result, write_result

__all__ = [
    "KINDS",
    "Latency",
    "Protocol",
    "WarmUp",
    "bench",
    "environment",
    "measure",
    "read_result",
    "warm_up",
    "write_result",
]
