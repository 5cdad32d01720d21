"""How fast a bundle answers, and what speaks for and against the figures."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, FiniteFloat

from edge_fgir.results.base import Record, Result, Subject

Scope = Literal["network", "frame_to_decision"]
"""The compiled model alone, or from a decoded camera frame to the label."""
Mode = Literal["burst", "quick", "sustained", "fixed_rate"]
"""What was run after the two scopes had been timed: see ``bench``."""


class Percentiles(Record):
    """Run times of one call, milliseconds.

    Attributes:
        p50_ms: Median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        mean_ms: Mean.
        sd_ms: Standard deviation.
        max_ms: Slowest run.
        n: Number of runs.
        p50_interval_ms: Bootstrap 95 % interval of the median.
        steady: The warm-up ended because the median had settled, not because time was up.
    """

    p50_ms: FiniteFloat = Field(gt=0)
    p90_ms: FiniteFloat = Field(gt=0)
    p99_ms: FiniteFloat = Field(gt=0)
    mean_ms: FiniteFloat
    sd_ms: FiniteFloat
    max_ms: FiniteFloat
    n: int
    p50_interval_ms: tuple[FiniteFloat, FiniteFloat]
    steady: bool


class Scopes(Record):
    """Both scopes, over all runs that were interleaved."""

    network: Percentiles
    frame_to_decision: Percentiles


class Baseline(Percentiles):
    """What was measured interleaved with the network scope, and how many times slower it is."""

    name: str
    times_slower: FiniteFloat = Field(gt=0)


class SustainedRun(Record):
    """Frames back to back for long, so that heat shows.

    Attributes:
        window_s: Length of a window, seconds.
        runs: Number of frames.
        drift: Median of the last tenth of the windows over that of the first.
        p50_ms: Median of each window.
    """

    window_s: FiniteFloat = Field(gt=0)
    runs: int
    drift: FiniteFloat
    p50_ms: tuple[FiniteFloat, ...] = Field(min_length=1)


class Lateness(Record):
    """How long after their deadline late frames were decided, milliseconds."""

    p50: FiniteFloat
    p99: FiniteFloat
    max: FiniteFloat


class FixedRate(Record):
    """Frames that arrive on a clock.

    Attributes:
        fps: Frames a second.
        frames: How many arrived.
        answered: How many were looked at, in time or not.
        late: Decided after their deadline.
        lost: Never looked at.
        missed: Share of the frames that are late or lost, 0 to 1.
        lateness_ms: Of the late frames; None without any.
        duty: Share of the time that the engine worked, 0 to 1.
        rule: When a frame misses its deadline, for people.
    """

    fps: FiniteFloat
    frames: int
    answered: int
    late: int
    lost: int
    missed: FiniteFloat
    lateness_ms: Lateness | None
    duty: FiniteFloat
    rule: str


class Energy(Record):
    """What a frame costs; every figure is None where ``reason`` says why.

    Attributes:
        joules_per_frame: Beyond idling.
        watts: Mean power during the run.
        idle_watts: Mean power before it.
        meter: What was read.
        reason: Why nothing is known; empty where it is.
    """

    joules_per_frame: FiniteFloat | None = None
    watts: FiniteFloat | None = None
    idle_watts: FiniteFloat | None = None
    meter: str | None = None
    reason: str = ""


class CertificateBounds(Record):
    """What a certified run must keep, as shares."""

    other_work_below: FiniteFloat
    repeats_apart_at_most: FiniteFloat


class Preconditions(Record):
    """The machine before the run; what it does not tell is None.

    Attributes:
        load_1min: Load average.
        governors: Of the CPUs' clocks.
        frequency_mhz: Lowest and highest clock that the settings allow.
        turbo: Whether it is on.
        affinity: The CPUs that this process may use.
        cpu_limit: How many CPUs its container grants; None: no limit.
        power_mode: Of a Jetson, or the platform's profile.
        swap_used_mb: Swap in use.
        memory_available_mb: Free memory.
        virtual_machine: Whether this is one.
    """

    load_1min: FiniteFloat | None
    governors: tuple[str, ...] | None
    frequency_mhz: tuple[FiniteFloat, FiniteFloat] | None
    turbo: bool | None
    affinity: str | None
    cpu_limit: FiniteFloat | None
    power_mode: str | None
    swap_used_mb: FiniteFloat | None
    memory_available_mb: FiniteFloat | None
    virtual_machine: bool


class ZoneTemperature(Record):
    """One thermal zone during the run, degrees Celsius."""

    first: FiniteFloat
    max: FiniteFloat
    last: FiniteFloat


class ClockRange(Record):
    """The fastest CPU's clock over the samples, MHz."""

    min: FiniteFloat
    mean: FiniteFloat
    max: FiniteFloat


class ThrottlingSeen(Record):
    """How many signals were watched, and which fired, with seconds from the start.

    ``unknown`` says why nothing can be told; it is empty where there are signals.
    """

    signals: int
    events: dict[str, FiniteFloat]
    unknown: str


class ClockStep(Record):
    """A jump of the wall clock against the steady one, seconds."""

    at_s: FiniteFloat
    step_s: FiniteFloat


class Watch(Record):
    """What sensors said during the run.

    Attributes:
        samples: How often they were read.
        temperatures_c: By thermal zone.
        clock_mhz: None where no clock can be read.
        throttling: Signals of heat, current or voltage.
        other_work: Share of all CPUs' time that other processes took; None: unknown.
        clock_steps: Jumps of the wall clock.
        lost: Sensors that vanished.
        died: Why the watching ended early; empty: it did not.
    """

    samples: int
    temperatures_c: dict[str, ZoneTemperature]
    clock_mhz: ClockRange | None
    throttling: ThrottlingSeen
    other_work: FiniteFloat | None
    clock_steps: tuple[ClockStep, ...]
    lost: tuple[str, ...]
    died: str


class Latency(Subject, Percentiles, Result):
    """A ``latency`` result. Its own percentiles are those of ``scope`` in ``mode``.

    It is made of a subject, percentiles and the rest::

        Latency(**dict(subject), **dict(percentiles), mode="burst", scopes=..., ...)

    Attributes:
        host: Where it was measured over ssh; None: on the machine that tells.
        classes: How many the model knows; None: not said.
        model_bytes: Size of the model's files.
        mode: What the percentiles are of: all interleaved runs (``burst``, ``quick``), the last
            tenth of the ``sustained`` time, or from each frame's arrival to its decision
            (``fixed_rate``).
        scope: Of the percentiles.
        certified: Nothing speaks against the figures.
        uncertified_because: What does.
        certified_if: The bounds.
        scopes: Both scopes, from the interleaved runs.
        repeats_p50_ms: By call, the medians of two repeats; None where there were not two.
        runtimes_ms: By runtime, the network alone in each that the bundle has files for, measured
            side by side; the fastest is what the rest is about. None: there was no choice.
        variants_ms: By variant of the bundle, from frame to decision, measured side by side; the
            first is what the rest is about. None: it has one alone, or one was asked for.
        sustained: In mode ``sustained``.
        fixed_rate: In mode ``fixed_rate``.
        baseline: What was measured in the same run for comparison, torch say.
        energy: Of a frame.
        peak_memory_mb: Of the whole process; None where ``peak_memory_note`` says why.
        preconditions: The machine before the run.
        watch: The machine during the run.
    """

    kind: ClassVar[str] = "latency"
    version: ClassVar[int] = 2

    host: str | None = None
    classes: int | None = None
    model_bytes: int
    mode: Mode
    scope: Scope = "frame_to_decision"
    certified: bool
    uncertified_because: tuple[str, ...]
    certified_if: CertificateBounds
    scopes: Scopes
    repeats_p50_ms: dict[str, tuple[FiniteFloat, FiniteFloat] | None]
    runtimes_ms: dict[str, FiniteFloat] | None = None
    variants_ms: dict[str, FiniteFloat] | None = None
    sustained: SustainedRun | None = None
    fixed_rate: FixedRate | None = None
    baseline: Baseline | None = None
    energy: Energy
    peak_memory_mb: FiniteFloat | None = None
    peak_memory_note: str = ""
    preconditions: Preconditions
    watch: Watch

    @property
    def caption(self) -> str:
        """What this result says of what, for a list."""
        return f"latency of {self.title}"

    @classmethod
    def upgrade(cls, fields: dict[str, Any], version: int) -> None:
        """Version 1 called the baseline a rival, and the quick mode a glance."""
        if version == 1 and "rival" in fields:
            fields["baseline"] = fields.pop("rival")
        if version == 1 and fields.get("mode") == "glance":
            fields["mode"] = "quick"
