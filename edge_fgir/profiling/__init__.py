"""Which setting fits a device: probes, a latency model, a search under a budget, a plan."""

from edge_fgir.profiling.candidates import described
from edge_fgir.profiling.device_ref import DeviceRef
from edge_fgir.profiling.measured_cost import bench_mode, measured_cost
from edge_fgir.profiling.pipeline import REPORT, RESULT, Request, profile
from edge_fgir.profiling.plan import Option, Plan
from edge_fgir.profiling.probe_bundles import build_probes
from edge_fgir.profiling.roofline import WEIGHT_BYTES
from edge_fgir.results import Budget

__all__ = [
    "REPORT",
    "RESULT",
    "WEIGHT_BYTES",
    "Budget",
    "DeviceRef",
    "Option",
    "Plan",
    "Request",
    "bench_mode",
    "build_probes",
    "described",
    "measured_cost",
    "profile",
]
