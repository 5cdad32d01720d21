"""Bundles of one training, written as one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_fgir._errors import GateError
from edge_fgir._files import new_folder, scratch, to_json
from edge_fgir.describing import BILL, read_bill
from edge_fgir.exporting.writer import seal
from edge_fgir.runtime import MANIFEST, Bundle, Manifest, SigningKey, pack, verify


def write_joined(
    out: Path,
    contents: Mapping[str, bytes],
    fields: dict[str, object],
    *,
    as_zip: bool = False,
    signing_key: SigningKey | None = None,
) -> None:
    """Seal the files of several bundles as one, and replay all that it holds.

    Args:
        out: Where it is written.
        contents: Files by path, but for the bill of materials.
        fields: What the manifest says, but for its files and its seal.
        as_zip: As one uncompressed zip.
        signing_key: Signs the manifest.

    Raises:
        GateError: What was written does not answer as the parts did; nothing is left behind.
    """
    if as_zip:
        with scratch() as own:
            write_joined(own / out.name, contents, fields, signing_key=signing_key)
            pack(Bundle(own / out.name), out)
        return
    with new_folder(out, replaces=MANIFEST) as draft:
        files = dict(contents)
        seal(draft, files, fields)
        files[BILL] = to_json(read_bill(Bundle(draft))).encode()
        text = seal(draft, files, fields)
        for check in verify(draft):
            if not check.ok:
                raise GateError(f"the joined bundle: {check.name}: {check.detail}")
        if signing_key is not None:
            signature = signing_key.sign(text)
            (draft / signature.file).write_bytes(signature.dump().encode())


def contents_of(bundle: Bundle) -> dict[str, bytes]:
    """Return a bundle's files, but for its bill of materials, which names the others."""
    return {
        entry.path: bundle.read(entry.path) for entry in bundle.manifest.files if entry.path != BILL
    }


def fields_of(manifest: Manifest) -> dict[str, object]:
    """Return what a manifest says, but for its files and its seal."""
    left_out = {"schema_", "files", "seal"}
    return {name: getattr(manifest, name) for name in Manifest.model_fields if name not in left_out}
