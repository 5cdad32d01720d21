"""A bundle's plan for this very device: taken from the cache, or built and kept there."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated

from pydantic import BaseModel, Field

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir._progress import Meter, progress
from edge_fgir._refusal import validated
from edge_fgir.runtime.bundle import Bundle
from edge_fgir.runtime.runtimes.opening import checked_onnx
from edge_fgir.runtime.runtimes.tensorrt import cuda
from edge_fgir.runtime.runtimes.tensorrt.build import Step
from edge_fgir.runtime.runtimes.tensorrt.cache import EngineCache, EngineKey, UnusableError
from edge_fgir.runtime.runtimes.tensorrt.process import build_apart

_BUILD = "tensorrt/build.json"


class _Build(BaseModel):
    """What ``tensorrt/build.json`` asks of the builder."""

    workspace_mb: Annotated[int, Field(gt=0, le=1 << 20)]


@dataclass(frozen=True)
class DevicePlan:
    """A serialized engine.

    Attributes:
        plan: Its bytes.
        key: What it was built for.
        path: Where it is kept.
        seconds: How long it took to build or to load.
        workspace_mb: What the builder could use, MiB; None: it was built earlier.
    """

    plan: bytes = field(repr=False)
    key: EngineKey
    path: Path
    seconds: float
    workspace_mb: int | None

    @property
    def built(self) -> bool:
        """Whether it was built just now."""
        return self.workspace_mb is not None


def device_plan(
    bundle: Bundle, *, device_workspace_mb: int | None = None, force: bool = False
) -> DevicePlan:
    """Return the plan of ``bundle`` for this GPU, TensorRT and driver; build it the first time.

    Args:
        bundle: A bundle for TensorRT.
        device_workspace_mb: What this kind of device has to spare for the builder, MiB.
        force: Build even if there is one.

    Raises:
        InputError: The bundle is for another target, or TensorRT or CUDA is not installed here.
        GateError: TensorRT refuses the graph.
        EdgeFgirError: The builder was killed or crashed; nothing was written.
    """
    manifest = bundle.manifest
    if manifest.runtime != "tensorrt":
        raise InputError(
            f"{bundle.path} is for target {manifest.target}, which compiles nothing in advance",
            "a bundle for target jetson",
            f"use it as it is: edge-fgir verify {bundle.path}",
        )
    start = time.perf_counter()
    trt = import_tensorrt(bundle)
    onnx = checked_onnx(bundle)
    key = _key(onnx, trt)
    engines = EngineCache()

    def done(plan: bytes, workspace_mb: int | None = None) -> DevicePlan:
        seconds = time.perf_counter() - start
        return DevicePlan(plan, key, engines.path(key), seconds, workspace_mb)

    if not force:
        with suppress(UnusableError):  # another process may be half way through writing it
            if plan := engines.load(key):
                return done(plan)
    with engines.building():
        if not force and (plan := _reusable(engines, key)):
            return done(plan)
        workspace_mb = _workspace_mb(bundle, device_workspace_mb)
        timings = engines.load_timings()
        with _Display(manifest.name) as display:
            plan = build_apart(onnx, workspace_mb, timings, display.show)
        engines.store(key, plan)
        engines.store_timings(timings)
    return done(plan, workspace_mb)


def import_tensorrt(bundle: Bundle) -> ModuleType:
    """Return the system's ``tensorrt``.

    Raises:
        InputError: It is not installed.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise InputError(
            f"{bundle.path} is for target {bundle.manifest.target}; TensorRT is not installed here",
            "a Jetson with JetPack",
            "run: edge-fgir doctor --target jetson; to replay its graph without TensorRT, "
            f"run: edge-fgir verify {bundle.path} --device cpu",
        ) from error
    module: ModuleType = tensorrt
    return module


def _key(onnx: bytes, trt: ModuleType) -> EngineKey:
    gpu = cuda.Cuda()
    board = _first_line("/proc/device-tree/compatible").replace("\0", " ")
    driver = _first_line("/proc/driver/nvidia/version")
    return EngineKey(
        graph=sha256(onnx),
        gpu=f"{gpu.gpu()} {board}".strip(),
        tensorrt=trt.__version__,
        driver=f"CUDA {gpu.driver_version()} {driver}".strip(),
    )


def _first_line(path: str) -> str:
    try:
        return " ".join(Path(path).read_text(errors="replace").split("\n")[0].split())
    except OSError:
        return ""


def _reusable(engines: EngineCache, key: EngineKey) -> bytes | None:
    try:
        return engines.load(key)
    except UnusableError as reason:
        sys.stderr.write(f"{engines.path(key)} {reason}: building the engine again\n")
        return None


def _workspace_mb(bundle: Bundle, device_mb: int | None) -> int:
    """Return the least of what the bundle asks for, the device has to spare, half is free."""
    build = bundle.read(_BUILD)
    source = f"{bundle.path}/{_BUILD}"
    asked = validated(_Build, build, source, "workspace_mb, MiB", "export it again").workspace_mb
    # The other half is for weights, CUDA and the camera app.
    limits = (asked, device_mb, None if (free := _available_mb()) is None else max(free // 2, 1))
    return min(limit for limit in limits if limit is not None)


def _available_mb() -> int | None:
    """Return the memory that is free, MiB.

    A Jetson's GPU has no other, and CUDA's own answer leaves out what Linux would free for it.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kib) >> 10 for kib in found), None)


class _Display:
    """A bar for each outermost phase of a build; what lies inside is its note."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar = ExitStack()
        self._meter = Meter()
        self._phase, self._done = "", 0

    def __enter__(self) -> _Display:
        sys.stderr.write(f"building the TensorRT engine of {self._name}: takes minutes, once\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, step: Step) -> None:
        """Show one step of the build."""
        if step.parent is not None:
            self._meter.advance(0, f"{step.phase} {step.done}/{step.total}")
        elif step.done == 0:
            self._bar.close()
            self._meter = self._bar.enter_context(progress(step.phase, step.total))
            self._phase, self._done = step.phase, 0
        elif step.phase == self._phase:
            self._meter.advance(step.done - self._done)
            self._done = step.done
