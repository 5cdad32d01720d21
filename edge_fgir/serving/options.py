"""What a server takes and for how long it works on it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from edge_fgir._errors import InputError


@dataclass(frozen=True)
class ServeOptions:
    """Limits of one server; the command line has its options and their help from here.

    Raises:
        InputError: One is no number above 0, or larger than makes sense.
    """

    max_megabytes: float = field(
        default=20.0, metadata={"most": 1024, "help": "Largest picture file that is taken, MB."}
    )
    seconds: float = field(
        default=10.0,
        metadata={"most": 3600, "help": "From the request to the answer, at most, s."},
    )
    waiting: int = field(
        default=16,
        metadata={
            "most": 10_000,
            "help": "Pictures that arrive or wait at most; further ones are sent away (503).",
        },
    )

    max_megapixels: float = field(
        default=25.0,
        metadata={
            "most": 100,
            "help": "Largest picture that is decoded, megapixels: a small file can claim many.",
        },
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value, most = getattr(self, one.name), one.metadata["most"]
            if not 0 < value <= most:
                name = one.name.replace("_", "-")
                raise InputError(f"--{name} {value}", f"a number above 0, at most {most}")

    @classmethod
    def help_of(cls, name: str) -> str:
        """Return what an option is for, in a line."""
        return next(str(one.metadata["help"]) for one in fields(cls) if one.name == name)
