"""Writing a bundle: whole and proven, or not at all."""

from __future__ import annotations

import io
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import log_softmax

from edge_fgir._files import new_folder, scratch, to_json
from edge_fgir.benchmarking import library_versions
from edge_fgir.describing import BILL, read_bill
from edge_fgir.evaluation import Views
from edge_fgir.exporting.features import FEATURES
from edge_fgir.exporting.gates import ParityGates
from edge_fgir.exporting.graph import Logits
from edge_fgir.exporting.novelty import Pictures, novelty_files
from edge_fgir.exporting.regions import Regions, compare_regions, explanation_of
from edge_fgir.exporting.spread import spread_evenly
from edge_fgir.exporting.target import Target
from edge_fgir.runs import TrainedModel
from edge_fgir.runtime import (
    MANIFEST,
    READING,
    READING_KEY,
    Bundle,
    Classifier,
    EngineOptions,
    FeatureSpec,
    Golden,
    GoldenImage,
    InputSpec,
    Manifest,
    OriginInfo,
    OutputSpec,
    Pixels,
    Precision,
    SigningKey,
    find_runtime,
    open_engine,
    pack,
)

_LEAST = 1e-30
"""A probability below it says no more about its logit."""
_REPLAYED = 200
"""Pictures of each kind that a replay is asked about: it is slow."""


def describe(
    trained: TrainedModel,
    target: Target,
    precision: Precision,
    model_file: str,
    params: int,
    features: int | None = None,
    origin: OriginInfo | None = None,
) -> dict[str, object]:
    """Return the manifest's fields but the file list.

    Args:
        trained: Describes the model.
        target: Where it will run.
        precision: What it computes in.
        model_file: Its file in the bundle.
        params: Parameters of the trained model.
        features: How many the graph tells; None: it tells none.
        origin: What its weights came from; None: of a bundle that is only timed.
    """
    side = trained.preprocess.size
    return {
        "name": trained.name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": library_versions() | {READING_KEY: READING},
        "source_commit": _source_commit(),
        "target": target.name,
        "runtime": target.runtime,
        "precision": precision,
        "architecture": trained.network.name,
        "params": params,
        "model_file": model_file,
        "input": InputSpec(name="image", shape=(1, side, side, 3)),
        "output": OutputSpec(name="probabilities", classes=trained.num_classes),
        "explanation": explanation_of(trained),
        "features": None if features is None else FeatureSpec(output=FEATURES, size=features),
        "normalization": trained.normalization,
        "data": trained.data,
        "origin": origin,
    }


def write_bundle(
    out: Path,
    contents: dict[str, bytes],
    fields: dict[str, object],
    golden: Pixels,
    parity: ParityGates,
    validation: Pixels,
    wanted: Logits,
    views: Views | None,
    *,
    exact: bool = False,
    regions: Regions | None = None,
    pictures: Pictures | None = None,
    as_zip: bool,
    signing_key: SigningKey | None = None,
) -> Bundle:
    """Seal ``contents`` as a bundle, open it, replay validation and golden images, then keep it.

    With ``signing_key``, the manifest as it is in the end is signed. ``exact``: the logits
    themselves must be torch's. ``wanted`` are the logits (N, K) of the form that is sealed on the
    ``validation`` images, ``views`` what it said of more of them, and ``regions`` where torch looks
    again on the validation images. With ``pictures``, the bundle learns what is new to it.

    Raises:
        GateError: The opened bundle breaks a bound; nothing is left behind.
    """
    if as_zip:
        with scratch() as own:
            folder = own / out.name
            write_bundle(
                folder,
                contents,
                fields,
                golden,
                parity,
                validation,
                wanted,
                views,
                exact=exact,
                regions=regions,
                pictures=pictures,
                as_zip=False,
                signing_key=signing_key,
            )
            pack(Bundle(folder), out)
        return Bundle(out)
    runtime = find_runtime(str(fields["runtime"]))
    # A replay computes what the form did that is sealed here, slowly, and nothing else.
    rows = parity.few if runtime.replay is not None else np.arange(len(validation))
    with new_folder(out, replaces=MANIFEST) as draft:
        seal(draft, contents, fields)
        bundle = Bundle(draft)
        bill = to_json(read_bill(bundle))
        options = EngineOptions(runtime.gate_device, cache=False)
        with Classifier(bundle, open_engine(bundle, options)) as model:
            found = np.concatenate([model.infer(image[None]) for image in validation[rows]])
            logits = _logits_of(found, bundle.calibration.temperature, parity.reference[rows])
            parity.add_bundle(logits, wanted, exact=exact, views=views, rows=rows)
            answers = np.concatenate([model.infer(image[None]) for image in golden])
            if regions is not None:
                boxes = [model.observe(image).regions for image in validation]
                found = np.concatenate([each for each in boxes if each is not None])
                compared = compare_regions(regions, found)
                parity.check_regions(compared)
                contents = {**contents, **compared.as_file()}
            if pictures is not None:
                asked = np.arange(len(validation))
                if runtime.replay is not None:
                    pictures = pictures.at_most(_REPLAYED)
                    asked = spread_evenly(len(validation), _REPLAYED)
                files = novelty_files(model, pictures, validation[asked], parity.labels[asked])
                contents = {**contents, **files}
        contents = {
            **contents,
            **_golden_files(golden, answers, parity.gates.golden_tolerance),
            **parity.report().as_file(),
            BILL: bill.encode(),
        }
        manifest = seal(draft, contents, fields)
        if signing_key is not None:
            signature = signing_key.sign(manifest)
            (draft / signature.file).write_bytes(signature.dump().encode())
    return Bundle(out)


def _logits_of(probabilities: Logits, temperature: float, reference: Logits) -> Logits:
    """Return logits (N, K), up to a constant a row.

    What is too small for float32 is taken to be what ``reference`` says, if that is as small.
    """
    expected = log_softmax(reference / temperature, axis=1)
    known = np.log(np.maximum(probabilities, _LEAST))
    hidden = np.minimum(expected, np.log(_LEAST))
    found = np.where(probabilities > _LEAST, known, hidden) * temperature
    return found.astype(np.float32)


def seal(folder: Path, contents: dict[str, bytes], fields: dict[str, object]) -> bytes:
    """Write the files and their manifest, and return the manifest's bytes."""
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(data)
        except OSError as error:
            error.filename = str(path)  # a full disk does not say whose bytes were too many
            raise
    manifest = Manifest.sealed(contents, **fields).dump().encode()
    (folder / MANIFEST).write_bytes(manifest)
    return manifest


def _golden_files(images: Pixels, answers: np.ndarray, tolerance: float) -> dict[str, bytes]:
    files, entries = {}, []
    for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        name = f"{index:02d}.png"
        files[f"golden/{name}"] = buffer.getvalue()
        entries.append(GoldenImage(file=name, probabilities=[float(p) for p in answer]))
    expected = Golden(tolerance=tolerance, images=entries)
    return {**files, "golden/expected.json": to_json(expected.model_dump()).encode()}


def _source_commit() -> str:
    """Return the commit of a source checkout; an installed package has none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
