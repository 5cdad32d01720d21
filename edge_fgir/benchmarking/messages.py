"""What the measuring worker is asked and what it answers: JSON of one schema, within bounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import sha256
from edge_fgir._text import printable
from edge_fgir.benchmarking.bundle_bench import BenchMode
from edge_fgir.benchmarking.protocol import Protocol
from edge_fgir.results import Environment, Latency
from edge_fgir.runtime import Device

MOST_BYTES = 16 << 20
"""Of a request or an answer."""

_DIGITS = 16


Text = Annotated[str, Field(max_length=4000)]
Milliseconds = Annotated[FiniteFloat, Field(gt=0, lt=1e9)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Message):
    """What tells a device from others: its latencies are for it alone."""

    machine: Annotated[str, Field(description="instruction set, as the kernel names it")]
    processor: str
    instructions: Annotated[
        tuple[str, ...], Field(description="vector instructions that matter to a layer's speed")
    ]
    board: Annotated[str | None, Field(description="of a device tree")]
    cpus: Annotated[int | None, Field(description="that a process may use")]

    @classmethod
    def of(cls, environment: Environment) -> Identity:
        """Take what identifies a device from its environment."""
        return cls(**{name: getattr(environment, name) for name in cls.model_fields})

    @property
    def fingerprint(self) -> str:
        """A short name of all of it."""
        values = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return sha256(values.encode())[:_DIGITS]

    def told_from(self, other: Identity) -> str:
        """Return the device's name, with the first thing that differs where the names agree."""
        ours, theirs = (each.model_dump(mode="json") for each in (self, other))
        if self._title != other._title or ours == theirs:
            return self._title
        first = next(name for name in ours if ours[name] != theirs[name])
        return f"{self._title} with {first} {ours[first]}"

    @property
    def _title(self) -> str:
        return self.board or self.processor or "an unknown device"


class Request(_Message):
    """Something that a worker does.

    Attributes:
        bundles: Their paths where the worker runs.
    """

    bundles: Annotated[tuple[str, ...], Field(max_length=1000)] = ()

    def on(self, bundles: Sequence[str]) -> Request:
        """Return the request for bundles at these paths."""
        return self.model_copy(update={"bundles": tuple(bundles)})


class Identify(Request):
    """Say which device this is."""

    kind: Literal["identify"] = "identify"


class TimeBundles(Request):
    """Time bundles side by side, in interleaved turns of one process."""

    kind: Literal["time"] = "time"
    device: Device
    protocol: Protocol


class BenchBundle(Request):
    """Bench one bundle; see :func:`~edge_fgir.benchmarking.bundle_bench.bench`."""

    kind: Literal["bench"] = "bench"
    device: Device
    mode: BenchMode = "burst"
    seconds: Annotated[float | None, Field(gt=0, le=1e6)] = None
    fps: Annotated[float | None, Field(gt=0, le=1e6)] = None
    protocol: Protocol | None = None


class Timing(_Message):
    """One network among others, milliseconds."""

    network_ms: Annotated[Milliseconds, Field(description="compiled model alone")]
    frame_ms: Annotated[Milliseconds, Field(description="decoded 640 x 480 frame to label")]
    tail: Annotated[FiniteFloat, Field(ge=1, description="99th percentile of frames over median")]
    disturbed: Annotated[bool, Field(description="the network's runs never agreed")]


class Identified(_Message):
    """The device that the worker runs on."""

    kind: Literal["identified"] = "identified"
    environment: Environment


class Timings(_Message):
    """One timing a bundle, in the order of the request."""

    kind: Literal["timings"] = "timings"
    environment: Environment
    timings: Annotated[tuple[Timing, ...], Field(max_length=1000)]


class Benched(_Message):
    """A bench of one bundle."""

    kind: Literal["benched"] = "benched"
    latency: Latency

    @property
    def environment(self) -> Environment:
        """Where it was measured."""
        return self.latency.environment


class Failed(_Message):
    """Why there is no answer: one line for the user."""

    kind: Literal["failed"] = "failed"
    text: Text
    is_input: Annotated[bool, Field(description="what was asked for cannot be used")]

    def error(self, name: str) -> EdgeFgirError:
        """Return it as an exception.

        Args:
            name: The device.
        """
        return (InputError if self.is_input else EdgeFgirError)(f"{name}: {self.text}")


Answer = Identified | Timings | Benched
Found = TypeVar("Found", Identified, Timings, Benched)

_REQUESTS: TypeAdapter[Identify | TimeBundles | BenchBundle] = TypeAdapter(
    Annotated[Identify | TimeBundles | BenchBundle, Field(discriminator="kind")]
)
_ANSWERS: TypeAdapter[Answer | Failed] = TypeAdapter(
    Annotated[Answer | Failed, Field(discriminator="kind")]
)


def read_request(text: bytes) -> Identify | TimeBundles | BenchBundle:
    """Return a request.

    Raises:
        InputError: It breaks the schema.
    """
    try:
        return _REQUESTS.validate_json(text)
    except ValidationError as error:
        raise InputError(f"a request that breaks the schema: {_first(error)}") from None


def read_answer(text: bytes, kind: type[Found], name: str) -> Found:
    """Return an answer; control characters in it are shown as escapes.

    Args:
        text: What the worker wrote.
        kind: What was asked for.
        name: The device, for messages.

    Raises:
        EdgeFgirError: The worker failed, or what it says breaks the schema.
    """
    try:
        answer = _ANSWERS.validate_python(_shown(json.loads(text)))
    except ValidationError as error:
        raise EdgeFgirError(f"{name}: its answer breaks the schema: {_first(error)}") from None
    except (ValueError, RecursionError):
        raise EdgeFgirError(f"{name}: its answer is not JSON") from None
    if isinstance(answer, Failed):
        raise answer.error(name)
    if not isinstance(answer, kind):
        raise EdgeFgirError(f"{name}: its answer is of kind {answer.kind}")
    return answer


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {printable(key): _shown(each) for key, each in value.items()}
    return value


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return printable(": ".join(filter(None, (where, first["msg"]))))
