"""One bundle with several variants of a training: each is a whole export, then they join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._files import scratch
from edge_fgir.data import DataSet
from edge_fgir.exporting.export import Tell, export
from edge_fgir.exporting.forms import export_forms
from edge_fgir.exporting.joining import contents_of, fields_of, write_joined
from edge_fgir.exporting.options import DEFAULTS, ExportOptions
from edge_fgir.exporting.target import Target
from edge_fgir.models import Setting, summarize
from edge_fgir.models.reduction import KeepRate
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.runtime import (
    VARIANTS,
    Bundle,
    FormSpec,
    SigningKey,
    VariantSpec,
    check_out,
    variant_name,
)

MOST_VARIANTS = 9
"""With the first one: what a manifest may list, and more than anybody steps through."""


def check_variants(
    run: Run, target: Target, first: Setting | None, variants: Sequence[Setting]
) -> list[Setting]:
    """Return the settings of a bundle's variants, what they leave open as in the first.

    Args:
        run: Whose weights they all have.
        target: What the bundle is for.
        first: The setting of the best one; None: as the run was trained.
        variants: Of the others, each faster than the one before.

    Raises:
        InputError: One computes no less than the one before, or the weights do not serve it;
            there are too many, or ``target`` takes none.
    """
    if not variants:
        return []
    if target.page is not None:
        raise InputError(
            f"variants with target {target.name}, whose page opens one model",
            "a target that classifies in a program",
            "leave --variant out",
        )
    if len(variants) >= MOST_VARIANTS:
        raise InputError(f"{len(variants)} variants", f"at most {MOST_VARIANTS - 1}")
    known = first or Setting(run.trained_as.preprocess.size)
    settings = [
        Setting(each.image_size, each.keep_rate or known.keep_rate, each.method or known.method)
        for each in variants
    ]
    counted = [(each, _gmacs(run.trained_as.at(each))) for each in (known, *settings)]
    for (before, more), (each, less) in pairwise(counted):
        if less >= more:
            raise InputError(
                f"variant {_name(each)} computes {less:.3g} GMACs, {_name(before)} before it "
                f"{more:.3g}",
                "fewer from one to the next",
                "give the variants in the order of their speed, the best first",
            )
    return settings


def _gmacs(trained: TrainedModel) -> float:
    size = trained.preprocess.size
    return summarize(trained.build(meta=True), trained.name, size, trained.num_classes).gmacs


def _name(setting: Setting) -> str:
    return variant_name(setting.image_size, setting.keep_rate)


def export_variants(
    run: Path,
    target: Target,
    also: Sequence[str],
    variants: Sequence[Setting],
    data: DataSet,
    out: Path,
    options: ExportOptions = DEFAULTS,
    tell: Tell = lambda event: None,
    tell_line: Callable[[str], None] = lambda line: None,
    *,
    max_drop: float | None = None,
) -> Bundle:
    """Export a run's model at several settings as one bundle.

    Args:
        run: A finished run folder.
        target: What the bundle is for.
        also: As of :func:`export_forms`.
        variants: Settings beside that of ``options``, each faster than the one before.
        data: The run's data set.
        out: Bundle to write.
        options: How; the setting is that of the first variant, the best.
        tell: Called with each measured stage, each scheme that was tried, and the choice.
        tell_line: Gets a line before each variant.
        max_drop: As of :func:`export_forms`, where there is ``also``.

    Raises:
        InputError: As of :func:`export_forms` and :func:`check_variants`.
        GateError: A stage of one of them broke a bound; nothing was written.
    """
    opened = Run.open(run)
    settings = check_variants(opened, target, options.setting, variants)
    for setting in settings:
        opened.at(setting).load()  # before any is exported, which takes minutes
    check_out(out, as_zip=options.as_zip)
    bare = replace(options, as_zip=False, signing_key=None)
    asked = [bare, *(replace(bare, setting=each, program=None) for each in settings)]
    with scratch() as folder:
        made = []
        for number, each in enumerate(asked):
            size = opened.at(each.setting).description.preprocess.size
            rate = each.setting.keep_rate if number and each.setting is not None else None
            tell_line(f"variant {variant_name(size, rate)}:")
            place = folder / f"{number}.fgir"
            if also:
                part = export_forms(run, target, also, data, place, each, tell, max_drop=max_drop)
            else:
                part = export(run, target, data, place, each, tell)
            made.append(part)
        join_variants(
            made,
            [each.keep_rate for each in settings],
            out,
            as_zip=options.as_zip,
            signing_key=options.signing_key,
        )
    return Bundle(out)


def join_variants(
    bundles: Sequence[Bundle],
    keep_rates: Sequence[KeepRate | None],
    out: Path,
    *,
    as_zip: bool = False,
    signing_key: SigningKey | None = None,
) -> None:
    """Write one bundle that holds others of the same training, each at another setting.

    Args:
        bundles: The best one first; all for the same runtimes.
        keep_rates: Of all but the first; None: not another one.
        out: Where it is written.
        as_zip: As one uncompressed zip.
        signing_key: Signs the manifest.

    Raises:
        GateError: What was written does not answer as the parts did; nothing is left behind.
    """
    first, *others = bundles
    shared = {path: data for path, data in contents_of(first).items() if _may_share(first, path)}
    contents, variants = contents_of(first), []
    for bundle, rate in zip(others, keep_rates, strict=True):
        manifest = bundle.manifest
        name = variant_name(manifest.input.shape[1], rate)
        folder = f"{VARIANTS}{name.replace(':', '-').replace(',', '-')}"
        contents |= {
            f"{folder}/{path}": data
            for path, data in contents_of(bundle).items()
            if shared.get(path) != data or not _may_share(bundle, path)
        }
        variants.append(
            VariantSpec(
                keep_rate=rate,
                precision=manifest.precision,
                folder=folder,
                model_file=f"{folder}/{manifest.model_file}",
                input=manifest.input,
                explanation=manifest.explanation,
                features=manifest.features,
                forms=_moved(manifest.forms, folder),
            )
        )
    fields = fields_of(first.manifest) | {"variants": tuple(variants)}
    write_joined(out, contents, fields, as_zip=as_zip, signing_key=signing_key)


def _may_share(bundle: Bundle, path: str) -> bool:
    """Say whether a variant may go without a file that is the same as the first one's.

    A model lies in its own folder, and so does what other programs read beside it (DeepStream).
    """
    place = path.rpartition("/")[0]
    return place in ("", "golden") and not bundle.manifest.is_models(path)


def _moved(forms: tuple[FormSpec, ...] | None, folder: str) -> tuple[FormSpec, ...] | None:
    if forms is None:
        return None
    return tuple(
        form.model_copy(
            update={
                "folder": f"{folder}/{form.folder}",
                "model_file": f"{folder}/{form.model_file}",
            }
        )
        for form in forms
    )
