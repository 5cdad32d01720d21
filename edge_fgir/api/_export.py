"""Quantizing and compiling a run into a sealed bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from edge_fgir._errors import InputError
from edge_fgir.api._data import Data, data_set
from edge_fgir.deploying import export_with_qat
from edge_fgir.exporting import Choice, Target, Trial, read_target
from edge_fgir.exporting import export as export_run
from edge_fgir.models import Setting
from edge_fgir.profiling import Plan
from edge_fgir.results import Stage
from edge_fgir.runs import Run
from edge_fgir.runtime import Bundle, SigningKey


def export(
    run: Run | Path | str,
    target: Target | str,
    data: Data,
    out: Path | str,
    *,
    precision: str = "auto",
    setting: Setting | None = None,
    plan: Plan | Path | str | None = None,
    max_drop: float | None = None,
    qat_epochs: int | None = None,
    fixed_samples: bool = False,
    logit_adjustment: float | Literal["auto"] | None = None,
    as_zip: bool = False,
    sign: Path | None = None,
    tell: Callable[[Stage | Trial | Choice], None] = lambda event: None,
    tell_line: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Quantize and compile a run's model into a sealed bundle, as ``edge-fgir export`` does.

    Example::

        import edge_fgir as ef

        bundle = ef.export("runs/student", "openvino", "photos", "leaves.fgir", precision="fp32")
        print(bundle.manifest.precision, bundle.model_size)

    Args:
        run: A finished run folder, or an open run, which then has its setting.
        target: Where it will run: a name, or a target that has been read.
        data: The run's data: calibration and gates need it.
        out: The bundle to write.
        precision: One the target offers; ``auto``: INT8 where it keeps the gates and is faster.
        setting: Input size, keep rate and reduction method; None: the run's own.
        plan: What ``profile`` has chosen, instead of setting and precision.
        max_drop: Points of top-1 that the bundle may lose; None: as the target says.
        qat_epochs: Where INT8 breaks a bound, train so many epochs more as INT8 computes.
        fixed_samples: Export ATS as a graph that always computes the most tokens it may keep.
        logit_adjustment: tau of the post-hoc logit adjustment, or ``auto``; None: none.
        as_zip: Write one uncompressed zip instead of a folder.
        sign: PEM file of the Ed25519 private key that signs the bundle; None: it is not signed.
        tell: Called with each measured stage, each scheme that was tried, and the choice.
        tell_line: Gets a line for the user.

    Raises:
        InputError: Run, data, target and options do not go together, or ``out`` is not a bundle.
        GateError: A stage broke a bound; nothing was written.
    """
    opened = run if isinstance(run, Run) else Run.open(Path(run))
    setting = setting or opened.setting
    bounded = target if isinstance(target, Target) else read_target(target)
    if max_drop is not None:
        bounded = bounded.allowing(max_drop)
    if plan is not None:
        if precision != "auto" or setting is not None:
            raise InputError("a plan beside a precision or a setting", "one of the two")
        chosen = plan if isinstance(plan, Plan) else Plan.read(Path(plan))
        chosen.check(opened.weights_hash, bounded.name)
        setting, precision = chosen.chosen.setting, chosen.chosen.precision
    pictures = data_set(data)
    key = None if sign is None else SigningKey.read(sign)

    def exported(run: Path, within: Target, setting: Setting | None, precision: str) -> Bundle:
        return export_run(
            run,
            within,
            pictures,
            Path(out),
            precision=precision,
            setting=setting,
            fixed_samples=fixed_samples,
            logit_adjustment=logit_adjustment,
            as_zip=as_zip,
            signing_key=key,
            tell=tell,
        )

    if qat_epochs is None:
        return exported(opened.path, bounded, setting, precision)
    return export_with_qat(
        opened.path,
        pictures,
        bounded,
        qat_epochs,
        exported,
        setting=setting,
        precision=precision,
        tell=tell_line,
    )
