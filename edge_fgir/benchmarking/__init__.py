"""Measuring: protocol, benches, devices here and behind ssh, environment; never torch."""

from edge_fgir.benchmarking.bundle_bench import FRAME, Baseline, BenchMode, bench, check_bench
from edge_fgir.benchmarking.compared_runtimes import compare_runtimes, with_fastest
from edge_fgir.benchmarking.compared_variants import compare_variants
from edge_fgir.benchmarking.device_handle import DeviceHandle, LocalDevice
from edge_fgir.benchmarking.devices import (
    LOCAL,
    Descriptor,
    Figure,
    device_names,
    match_device,
    read_device,
)
from edge_fgir.benchmarking.environment import environment, library_versions
from edge_fgir.benchmarking.interleaving import interleave
from edge_fgir.benchmarking.messages import Identity, Timing
from edge_fgir.benchmarking.protocol import PROBES, Protocol, StoppingRule, WarmUp, measure, warm_up
from edge_fgir.benchmarking.remote import RemoteDevice
from edge_fgir.benchmarking.remote_link import Host

__all__ = [
    "FRAME",
    "LOCAL",
    "PROBES",
    "Baseline",
    "BenchMode",
    "Descriptor",
    "DeviceHandle",
    "Figure",
    "Host",
    "Identity",
    "LocalDevice",
    "Protocol",
    "RemoteDevice",
    "StoppingRule",
    "Timing",
    "WarmUp",
    "bench",
    "check_bench",
    "compare_runtimes",
    "compare_variants",
    "device_names",
    "environment",
    "interleave",
    "library_versions",
    "match_device",
    "measure",
    "read_device",
    "warm_up",
    "with_fastest",
]
