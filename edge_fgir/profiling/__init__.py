"""Which setting fits a device: probes, a latency model, a search under a budget, a plan."""

from edge_fgir.profiling.budget import Budget
from edge_fgir.profiling.candidates import described
from edge_fgir.profiling.place import Place
from edge_fgir.profiling.plan import Option, Plan
from edge_fgir.profiling.profile import REPORT, RESULT, Request, profile, weights_hash

__all__ = [
    "REPORT",
    "RESULT",
    "Budget",
    "Option",
    "Place",
    "Plan",
    "Request",
    "described",
    "profile",
    "weights_hash",
]
