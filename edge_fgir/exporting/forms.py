"""One bundle with files for several runtimes: each goes through its own gates, then they join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_fgir._errors import InputError
from edge_fgir._files import scratch
from edge_fgir.data import DataSet
from edge_fgir.exporting.export import FormBegins, Tell, export
from edge_fgir.exporting.joining import contents_of, fields_of, write_joined
from edge_fgir.exporting.options import DEFAULTS, ExportOptions, check_precision, check_unknown
from edge_fgir.exporting.target import Target, read_target
from edge_fgir.runtime import Bundle, FormSpec, SigningKey, check_out


def check_candidates(target: Target, also: Sequence[str]) -> list[Target]:
    """Return the targets whose files a bundle shall hold, in the order of preference.

    Args:
        target: What it is for.
        also: Names of others.

    Raises:
        InputError: Bundles for ``target`` hold no files for one of them.
    """
    others = [name for name in target.candidates if name != target.name]
    for name in also:
        if name not in others:
            raise InputError(
                f"--also {name} with target {target.name}",
                f"one of {', '.join(others)}" if others else "a target that has candidates: arm",
                "leave --also out",
            )
    wanted = {target.name, *also}
    return [
        target if name == target.name else read_target(name)
        for name in target.candidates
        if name in wanted
    ]


def export_forms(
    run: Path,
    target: Target,
    also: Sequence[str],
    data: DataSet,
    out: Path,
    options: ExportOptions = DEFAULTS,
    tell: Tell = lambda event: None,
    *,
    max_drop: float | None = None,
) -> Bundle:
    """Export a run's model as one bundle with files for the runtimes of several targets.

    Args:
        run: A finished run folder.
        target: What the bundle is for.
        also: Of its candidates, the others that it holds files for; in the precision that
            ``target`` names for them.
        data: The run's data set.
        out: Bundle to write.
        options: How.
        tell: Called with whose files are next, and of them each measured stage, each scheme that
            was tried, and the choice.
        max_drop: Points of top-1 that each form may lose; None: as its own target says.

    Raises:
        InputError: As of :func:`export`; or ``also`` names what is no candidate.
        GateError: A stage of one of them broke a bound; nothing was written.
    """
    targets = check_candidates(target, also)
    if max_drop is not None:
        targets = [each.allowing(max_drop) for each in targets]
    options_of = {each.name: _options(target, each, options) for each in targets}
    for each in targets:
        check_precision(each, options_of[each.name].precision)
        check_unknown(each, options.unknown)
    check_out(out, as_zip=options.as_zip)
    with scratch() as folder:
        made = []
        for each in targets:
            tell(FormBegins(each.name, each.runtime))
            part = folder / f"{each.name}.fgir"
            made.append(export(run, each, data, part, options_of[each.name], tell))
        join_bundles(made, target.name, out, as_zip=options.as_zip, signing_key=options.signing_key)
    return Bundle(out)


def _options(target: Target, each: Target, options: ExportOptions) -> ExportOptions:
    """Return how one of the forms is exported: bare, as it is sealed and signed with the others."""
    bare = replace(options, as_zip=False, signing_key=None)
    if each.name == target.name:
        return bare
    return replace(bare, precision=target.candidates[each.name], program=None)


def join_bundles(
    bundles: Sequence[Bundle],
    target: str,
    out: Path,
    *,
    as_zip: bool = False,
    signing_key: SigningKey | None = None,
) -> None:
    """Write one bundle that holds others of the same network, each for another runtime.

    What is the same in all (labels, preprocessing, golden pictures) is held once; of the others,
    what differs from the first lies in a folder of the runtime's name.

    Args:
        bundles: The preferred one first.
        target: What the bundle is for.
        out: Where it is written.
        as_zip: As one uncompressed zip.
        signing_key: Signs the manifest.

    Raises:
        GateError: What was written does not answer as the parts did; nothing is left behind.
    """
    first, *others = bundles
    contents = contents_of(first)
    forms = []
    for each in others:
        manifest = each.manifest
        folder = manifest.runtime
        changed = {
            name: data for name, data in contents_of(each).items() if contents.get(name) != data
        }
        contents |= {f"{folder}/{name}": data for name, data in changed.items()}
        forms.append(
            FormSpec(
                runtime=manifest.runtime,
                precision=manifest.precision,
                folder=folder,
                model_file=f"{folder}/{manifest.model_file}",
                features=manifest.features,
            )
        )
    fields = fields_of(first.manifest) | {"target": target, "forms": tuple(forms)}
    write_joined(out, contents, fields, as_zip=as_zip, signing_key=signing_key)
