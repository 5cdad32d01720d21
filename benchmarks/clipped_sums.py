"""What sums that a processor clips cost OpenVINO's INT8, and what each remedy gives.

    .venv/bin/python benchmarks/clipped_sums.py --model runs/lite0 cub_100-30

quantizes a trained run three ways: by NNCF as it comes, by NNCF with seven bits for all weights
(its remedy for processors without VNNI), and by the first scheme of the target ``openvino``. Each
form is computed by this processor's INT8 kernels, and once more in float on the same rounded
numbers, where no sum is clipped; where VNNI is, both are the same up to rounding. Both are compared
with the float network on the whole test split: the error of the logits over their deviation, and
the share of equal labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fit import data_of
from mobile_int8 import relative_error
from rows import keep

from edge_fgir.data import DataSet, draw_by_class, prepared_images
from edge_fgir.exporting import read_target, to_onnx
from edge_fgir.exporting.backends.openvino import OpenVinoBackend, make_openvino
from edge_fgir.exporting.graph import Logits, is_transformer
from edge_fgir.models import folded
from edge_fgir.results import Training, read_result
from edge_fgir.runs import Run
from edge_fgir.runtime import Pixels

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "clipped_sums.json"


def forms(backend: OpenVinoBackend, images: Pixels, *, transformer: bool) -> dict[str, Any]:
    """Return a network in INT8, by the way it was rounded."""
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    quantization = read_target("openvino").quantization
    schemes = quantization.transformer if transformer else quantization.cnn
    name, scheme = next(iter(schemes.items()))
    data = nncf.Dataset([image[None] for image in images])
    kind = nncf.ModelType.TRANSFORMER if transformer else None

    def by_nncf(overflow: OverflowFix) -> Any:
        return nncf.quantize(
            backend.model,
            data,
            subset_size=len(images),
            model_type=kind,
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=overflow),
        )

    return {
        "NNCF": by_nncf(OverflowFix.FIRST_LAYER),
        "NNCF, seven bits": by_nncf(OverflowFix.ENABLE),
        name: backend.quantized(scheme, images).model,
    }


def answers_of(model: Any, images: Pixels, *, clipped: bool) -> Logits:
    """Return what INT8 kernels say of pictures, or float ones on the same rounded numbers."""
    import openvino as ov

    options = {} if clipped else {"LP_TRANSFORMS_MODE": "NO"}
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(model, "CPU", {**hints, **options})
    return np.concatenate([compiled(image[None])[0] for image in images])


def rows_of(run: Path, data: DataSet) -> Iterator[dict[str, Any]]:
    """Compare a trained run's forms with float on the test split."""
    opened, target = Run.open(run), read_target("openvino")
    trained = opened.description
    normalization, preprocess = trained.normalization, trained.preprocess
    form = folded(opened.load().eval(), crop_form=target.crop)
    graph = to_onnx(form, normalization, preprocess.size, target.opset)
    backend = make_openvino(graph, target, "fp32")
    images = prepared_images(data, data.split("test"), preprocess)
    drawn = draw_by_class(data.split("train"), target.quantization.images)
    calibration = prepared_images(data, drawn, preprocess)
    right = backend.run(images)
    for way, model in forms(backend, calibration, transformer=is_transformer(graph)).items():
        row: dict[str, Any] = {
            "network": f"{trained.network.name} {preprocess.size} px",
            "training": read_result(opened.summary, Training).method,
            "data": data.name,
            "images": len(images),
            "way": way,
        }
        for name, clipped in (("kernels", True), ("unclipped", False)):
            logits = answers_of(model, images, clipped=clipped)
            agreed = logits.argmax(axis=1) == right.argmax(axis=1)
            row[name] = {
                "relative_error": round(relative_error(logits, right), 4),
                "agreement": round(100 * float(agreed.mean()), 2),
            }
        yield row


def main() -> None:
    """Print and keep the rows of the models that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs=2, action="append", required=True, metavar=("RUN", "DATA"))
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    arguments = parser.parse_args()
    for run, name in arguments.model:
        for row in rows_of(Path(run), data_of(name, arguments.shared)):
            print(row, flush=True)
            keep(RESULT, "rows", row, ("network", "training", "data", "way"))


if __name__ == "__main__":
    main()
