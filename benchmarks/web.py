"""Models in a browser: ONNX Runtime Web and LiteRT.js in headless Chromium, in turns.

    .venv/bin/python benchmarks/web.py

times networks with random weights (time does not depend on them) in WebAssembly, in float32 and by
the INT8 schemes that could be taken, on one thread and on two, and in ONNX Runtime itself for
comparison. All forms of a network take turns in one page, so a busy machine slows them alike. It
also says by how much probabilities differ from those of the same file in its native library.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import keep

from edge_fgir.benchmarking import Protocol, WarmUp
from edge_fgir.benchmarking.protocol import time_runs
from edge_fgir.exporting import make_backend, read_target, to_onnx
from edge_fgir.exporting.graph import INPUT, deployed, is_transformer, session_of
from edge_fgir.exporting.npm import NpmPackage
from edge_fgir.exporting.target import DynamicScheme, LiteRtScheme, QdqScheme, Target
from edge_fgir.exporting.tflite import call_of
from edge_fgir.exporting.timing import awaken
from edge_fgir.models import Network, folded
from edge_fgir.models.batch_norm import reestimate
from edge_fgir.runtime import Normalization, Pixels
from edge_fgir.runtime.runtimes.litert import open_interpreter

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))  # where the browser's driver is
from browser import Browser  # noqa: E402

PAGE = read_target("web").page
assert PAGE is not None
RESULT = ROOT / "benchmarks" / "results" / "web.json"
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLASSES, CALIBRATION = 100, 16
NETWORKS: dict[str, tuple[str, int]] = {
    "LRN14 128 px": ("lrnet14", 128),
    "EfficientNet-Lite0 128 px": ("tf_efficientnet_lite0", 128),
    "ViTFS-T 224 px": ("vitfs_tiny", 224),
}
_CORE, _UTILS = PAGE.packages
LIBRARIES = (
    _CORE,
    _UTILS,
    _CORE.model_copy(
        update={
            "files": {
                f"package/wasm/litert_wasm_threaded_internal.{ending}": (
                    f"litert/litert_wasm_threaded_internal.{ending}"
                )
                for ending in ("js", "wasm")
            }
        }
    ),
    NpmPackage(
        package="onnxruntime-web",
        version="1.30.0",
        integrity="sha512-"
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        files={
            "package/dist/ort.wasm.bundle.min.mjs": "onnxruntime/ort.js",
            "package/dist/ort-wasm-simd-threaded.wasm": "onnxruntime/ort.wasm",
        },
    ),
)
_PAGE = """<!doctype html><meta charset=utf-8>
<script type=module>
import * as ort from "./onnxruntime/ort.js";
import * as litert from "./litert/core.js";

const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
const softmax = (logits) => {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
};

async function opened(name, shape, pixels, threads) {
  if (name.endsWith(".onnx")) {
    const session = await ort.InferenceSession.create(await bytes(name));
    const feed = { image: new ort.Tensor("uint8", pixels, shape) };
    return async () => (await session.run(feed))[session.outputNames[0]].data;
  }
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } };
  const model = await litert.loadAndCompile(await bytes(name), options);
  return async () => {
    const input = new litert.Tensor(pixels, shape);
    const [output] = await model.run([input]);
    const found = Float32Array.from(await output.data());
    input.delete();
    output.delete();
    return found;
  };
}

globalThis.measure = async ({ names, shape, threads, seconds }) => {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { wasm: new URL("onnxruntime/ort.wasm", location).href };
  await litert.loadLiteRt("./litert/", { threads: threads > 1 });
  const pixels = await bytes("pixels");
  const calls = [];
  for (const name of names) calls.push(await opened(name, shape, pixels, threads));
  const answers = [], times = names.map(() => []);
  for (const call of calls) answers.push(softmax(await call()));
  const end = performance.now() + 1000 * seconds * names.length;
  while (performance.now() < end)
    for (const [which, call] of calls.entries()) {
      const start = performance.now();
      await call();
      times[which].push(performance.now() - start);
    }
  return { answers, times, isolated: crossOriginIsolated };
};
document.title = "ready";
</script>
"""


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Forms:
    """A network in the forms that a browser could be given, written to a folder."""

    def __init__(self, name: str, side: int, folder: Path) -> None:
        torch.manual_seed(0)
        model = Network(name=name).build(CLASSES, side).eval()
        awaken(model)
        self.images = _noise(side)
        reestimate(model, self.images, NORMALIZATION)
        self._network = deployed(folded(model, crop_form="matmul"), NORMALIZATION)
        self._side = side
        arm, web = read_target("arm"), read_target("web")
        onnx = self._made(arm)
        self.transformer = is_transformer(onnx.model)
        kind = "transformer" if self.transformer else "cnn"
        ort = {"fp32": onnx}
        for scheme_name, scheme in getattr(arm.quantization, kind).items():
            assert isinstance(scheme, QdqScheme | DynamicScheme)
            ort[scheme_name] = onnx.quantized(scheme, self.images)
        tflite = self._made(web)
        scheme = next(iter(getattr(web.quantization, kind).values()))
        assert isinstance(scheme, LiteRtScheme)
        self.ort = {f"ONNX Runtime {key}": form for key, form in ort.items()}
        self.litert = {
            "LiteRT fp32": tflite,
            "LiteRT INT8": tflite.quantized(scheme, self.images),
        }
        self.files: dict[str, str] = {}
        for number, (key, form) in enumerate([*self.ort.items(), *self.litert.items()]):
            self.files[key] = f"{number}.{'onnx' if key in self.ort else 'tflite'}"
            data = form.model.SerializeToString() if key in self.ort else form.content
            (folder / self.files[key]).write_bytes(data)
        (folder / "pixels").write_bytes(self.images[0].tobytes())

    def _made(self, target: Target) -> Any:
        graph = to_onnx(self._network.model, NORMALIZATION, self._side, target.opset)
        return make_backend(graph, target, "fp32", self._network)

    def native(self, threads: int) -> dict[str, Any]:
        """Return one inference of each form in its native library."""
        image = self.images[:1]
        calls: dict[str, Any] = {}
        for key, form in self.ort.items():
            session = session_of(form.model, exact=True, threads=threads)
            calls[key] = partial(session.run, None, {INPUT: image})
        for key, form in self.litert.items():
            calls[key] = call_of(open_interpreter(form.content, threads=threads), image)
        return calls


def _noise(side: int) -> Pixels:
    drawn = np.random.default_rng(0).integers(0, 256, (CALIBRATION, side // 8, side // 8, 3))
    return drawn.astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def rows_of(title: str, seconds: float, libraries: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    """Time a network; one row a number of threads."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, data in libraries.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "index.html").write_text(_PAGE)
        forms = Forms(*NETWORKS[title], folder)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=place))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            for threads in (1, 2):
                yield _row(title, forms, server.server_port, threads, seconds)
        finally:
            server.shutdown()
            server.server_close()


def _row(title: str, forms: Forms, port: int, threads: int, seconds: float) -> dict[str, Any]:
    load = os.getloadavg()[0]
    side = forms.images.shape[1]
    wanted = {
        "names": list(forms.files.values()),
        "shape": [1, side, side, 3],
        "threads": threads,
        "seconds": seconds,
    }
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        browser.patience_s = 60 + 4 * seconds * len(forms.files)
        browser.open(f"http://127.0.0.1:{port}/index.html")
        browser.wait("document.title === 'ready'")
        found = browser.run(f"measure({json.dumps(wanted)})")
        version = browser.call("Browser.getVersion")["product"]
    assert found["isolated"]
    calls = forms.native(threads)
    protocol = Protocol(runs=100, seconds=seconds, warm_up=WarmUp(least_s=0.5, most_s=5.0))
    native = {
        key: round(1e3 * float(np.median(each.seconds)), 3)
        for key, each in time_runs(calls, protocol).items()
    }
    differences = {
        key: float(np.abs(np.asarray(answer) - _probabilities(calls[key]())).max())
        for key, answer in zip(forms.files, found["answers"], strict=True)
    }
    times = dict(zip(forms.files, found["times"], strict=True))
    return {
        "network": title,
        "threads": threads,
        "browser": version,
        "median_ms": {key: round(float(np.median(each)), 3) for key, each in times.items()},
        "min_ms": {key: round(min(each), 3) for key, each in times.items()},
        "native_median_ms": native,
        "largest_difference": {key: float(f"{value:.2g}") for key, value in differences.items()},
        "load_1min": round(load, 1),
    }


def _probabilities(outputs: Any) -> np.ndarray:
    logits = np.asarray(outputs[0], np.float64).reshape(-1)
    powers = np.exp(logits - logits.max())
    probabilities: np.ndarray = powers / powers.sum()
    return probabilities


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=4.0, help="of timing, each form")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    libraries: dict[str, bytes] = {}
    for package in LIBRARIES:
        libraries |= package.read()
    for title in arguments.networks:
        for row in rows_of(title, arguments.seconds, libraries):
            print(row, flush=True)
            keep(arguments.out, "web", row, ("network", "threads"))


if __name__ == "__main__":
    main()
