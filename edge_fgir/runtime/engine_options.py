"""How a bundle is opened: where it computes, in what, and with how much of the machine."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from edge_fgir._errors import InputError

Device = str
"""One that its runtime names, such as ``gpu.1``, or ``auto``: the fastest that was found right here
by ``verify --all-devices``, else the runtime's first."""
AUTO: Device = "auto"

FloatPrecision = Literal["f32", "f16", "bf16"]

_MOST_THREADS = 1024


@dataclass(frozen=True)
class EngineOptions:
    """How a bundle is opened; the command line has its options and their help from here.

    Example::

        import edge_fgir as ef

        options = ef.EngineOptions(device="cpu", threads=1)
        with ef.Classifier.open("birds.fgir", options) as model:
            print(model.info["engine"])

    Attributes:
        device: Where to compute. Upper case means the same; ``gpu.1`` is the second of several.
        threads: Cores that compute one answer. None: all of them, which is the shortest single
            call. With fewer, calls from several threads are computed side by side: with 1, as many
            as there are cores.
        precision: What layers that are not INT8 are computed in, where the runtime leaves a choice
            (OpenVINO). None: what the bundle was judged in; any other gives other answers.
        runtime: Of a bundle that has files for several, the one that computes. None: the fastest,
            if a bench has measured them on this machine, or else the first that is installed.
        variant: Of a bundle that has several, the one that answers, by its name such as ``128`` or
            ``224:0.7`` (input side, keep rate). None: the first, which is the best.
        cache: Let a compiled model be kept in the user's cache folder and taken from there, where
            the runtime can (OpenVINO on a CPU), and be shared by those who open it in one process.
    """

    device: Device = field(
        default=AUTO,
        metadata={"help": "Where to compute; edge-fgir doctor lists what each target offers."},
    )
    threads: int | None = field(
        default=None,
        metadata={"help": "Cores that compute one answer; default: all."},
    )
    precision: FloatPrecision | None = field(
        default=None,
        metadata={
            "help": "Layers that are not INT8 in f32, f16 or bf16, where the runtime leaves a "
            "choice; default: as the bundle was judged."
        },
    )
    runtime: str | None = field(
        default=None,
        metadata={
            "help": "Of a bundle with files for several, the runtime that computes; default: the "
            "fastest by an earlier bench, or the first that is installed."
        },
    )
    variant: str | None = field(
        default=None,
        metadata={
            "help": "Of a bundle with several, the variant that answers, such as 128 or 224:0.7; "
            "default: the first."
        },
    )

    cache: bool = True

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: One cannot be.
        """
        object.__setattr__(self, "device", str(self.device).lower())
        if self.threads is not None and not 1 <= self.threads <= _MOST_THREADS:
            raise InputError(f"threads {self.threads}", f"a number from 1 to {_MOST_THREADS}")
        words = get_args(FloatPrecision)
        if self.precision is not None and self.precision not in words:
            raise InputError(f"precision {self.precision!a}", f"one of {', '.join(words)}")

    @classmethod
    def help_of(cls, name: str) -> str:
        """Return what an option is for, in a line."""
        return next(str(one.metadata["help"]) for one in fields(cls) if one.name == name)
