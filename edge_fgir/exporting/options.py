"""What may be asked of an export, beside what goes in and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_fgir._errors import InputError
from edge_fgir.exporting.builders import find_builder
from edge_fgir.exporting.target import Target
from edge_fgir.models import Setting
from edge_fgir.runtime import SigningKey, find_pictures, is_bfloat16


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        precision: One the target offers; ``auto``: INT8 unless it is refused or not faster.
        setting: Input size, keep rate and token reduction method; None: as the run was trained.
            BatchNorm statistics are measured again for another one.
        fixed_samples: Export ATS as a graph that always computes the most tokens it may keep.
        logit_adjustment: tau of the post-hoc logit adjustment, folded into the classifier; torch is
            adjusted alike. ``auto``: the best for the macro accuracy on val. None: none.
        unknown: Folder of pictures that the model shall not know: the bundle says how many of them
            it rejects. None: that is measured on noise and flat frames alone.
        golden: Folder of pictures that the bundle carries for ``verify``, at most 16 of them; None:
            some of the validation split, which then leave the house with the bundle.
        program: Another program, one of :data:`PROGRAMS`, for which a LiteRT bundle carries files
            of its own, compared with the bundle on the validation split. None: no other one.
        as_zip: Write one uncompressed zip instead of a folder.
        signing_key: Signs the manifest; None: the bundle is not signed.
    """

    precision: str = "auto"
    setting: Setting | None = None
    fixed_samples: bool = False
    logit_adjustment: float | Literal["auto"] | None = None
    unknown: Path | None = None
    golden: Path | None = None
    program: str | None = None
    as_zip: bool = False
    signing_key: SigningKey | None = None


DEFAULTS = ExportOptions()


PROGRAMS = {"frigate": "litert", "frigate-bird": "litert"}
"""Other programs that take a model of ours, and the runtime whose file they read."""


def check_program(target: Target, program: str | None) -> None:
    """Refuse a program that is not known, or does not read what ``target`` gets.

    Raises:
        InputError: It is one of these.
    """
    if program is None:
        return
    if program not in PROGRAMS:
        raise InputError(f"--for {program}", f"one of {', '.join(PROGRAMS)}")
    if target.runtime != PROGRAMS[program]:
        raise InputError(
            f"--for {program} with target {target.name}",
            f"a target of the runtime {PROGRAMS[program]}",
            f"use --target {PROGRAMS[program]}",
        )
    if target.page is not None:
        raise InputError(
            f"--for {program} with target {target.name}, whose files every visitor loads",
            "a target without a page",
            f"use --target {PROGRAMS[program]} for a bundle of its own",
        )


def check_unknown(target: Target, unknown: Path | None) -> None:
    """Refuse pictures that the model shall not know where a target's files tell no features.

    Raises:
        InputError: They could not be asked about.
    """
    if unknown is None:
        return
    find_pictures(unknown)
    if not find_builder(target.runtime).tells_features:
        raise InputError(
            f"--unknown {unknown} with target {target.name}, whose bundles go by the score alone",
            "a target whose files tell the network's features",
            "leave --unknown out",
        )


def check_precision(target: Target, precision: str) -> None:
    """Refuse a precision that ``target`` does not offer; ``auto`` always goes.

    Raises:
        InputError: It is not offered.
    """
    if precision not in ("auto", *target.precisions):
        raise InputError(
            f"--precision {precision} is not offered for target {target.name}",
            f"one of auto, {', '.join(target.precisions)}",
        )
    if is_bfloat16(precision) and not find_builder(target.runtime).has_bfloat16():
        raise InputError(
            f"--precision {precision}: this processor has no bfloat16",
            "one that has it, so that the gates can judge its answers",
            "export there, or use --precision auto",
        )
