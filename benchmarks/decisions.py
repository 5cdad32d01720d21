"""Placeholder."""

from __future__ import annotations
import argparse, copy, time
from pathlib import Path
from collections.abc import Callable, Iterator
import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_fgir.benchmarking import Protocol, WarmUp, measure
from edge_fgir.data import draw_by_class, labels_of, open_data, prepared_images
from edge_fgir.exporting import read_target
from edge_fgir.exporting.builders import Backend, make_backend
from edge_fgir.exporting.graph import is_transformer, to_onnx
from edge_fgir.exporting.views import views
from edge_fgir.models.folding import folded
from edge_fgir.runs import Run

TRAIN_PICTURES, VIEWS, CALIBRATION = 1000, 1, 300
NOISES = (0.06, 0.1, 0.15, 0.25)
BITS = (7, 5, 4)


def with_weights(graph, change):
    form = copy.deepcopy(graph)
    for tensor in form.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.ndim >= 2 and weights.size >= 256:
            tensor.CopyFrom(
                numpy_helper.from_array(change(weights).astype(weights.dtype), tensor.name)
            )
    return form


def noisy(level):
    rng = np.random.default_rng(1)
    return lambda w: w + rng.normal(size=w.shape) * level * w.std()


def rounded(bits):
    def change(w):
        top = (
            np.abs(w).max(axis=tuple(range(1, w.ndim)), keepdims=True) / (2 ** (bits - 1) - 1)
            + 1e-12
        )
        return np.round(w / top) * top

    return change


def without_layer(graph):
    """The middle residual sum keeps only one of its branches..."""
    form = copy.deepcopy(graph)
    adds = [n for n in form.graph.node if n.op_type == "Add"]
    outs = {o for n in form.graph.node for o in n.output}
    residual = [n for n in adds if all(i in outs for i in n.input)]
    node = residual[len(residual) // 2] if residual else None
    if node is None:
        return None
    order = {o: i for i, n in enumerate(form.graph.node) for o in n.output}
    keep = min(node.input, key=lambda i: order[i])
    for n in form.graph.node:
        for i, name in enumerate(n.input):
            if name == node.output[0]:
                n.input[i] = keep
    return form


def clipped(graph, images, share):
    """Clip outputs of conv/matmul sums at a share of their largest magnitude on some pictures."""
    from edge_fgir.exporting.graph import session_of, INPUT

    form = copy.deepcopy(graph)
    names = [n.output[0] for n in graph.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")][:-1]
    probe = copy.deepcopy(graph)
    for name in names:
        probe.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = session_of(probe)
    most = None
    for image in images:
        found = [np.abs(x).max() for x in session.run(names, {INPUT: image[None]})]
        most = found if most is None else np.maximum(most, found)
    nodes = list(form.graph.node)
    del form.graph.node[:]
    for n in nodes:
        if n.output and n.output[0] in names:
            k = names.index(n.output[0])
            name = n.output[0]
            n.output[0] = name + "_sum"
            form.graph.initializer.append(
                numpy_helper.from_array(np.float32(-share * most[k]), name + "_lo")
            )
            form.graph.initializer.append(
                numpy_helper.from_array(np.float32(share * most[k]), name + "_hi")
            )
            form.graph.node.append(n)
            form.graph.node.append(
                helper.make_node(
                    "Clip", [name + "_sum", name + "_lo", name + "_hi"], [name], name=name + "_clip"
                )
            )
        else:
            form.graph.node.append(n)
    return form


def forms(graph, calibration, targets=("openvino", "arm")):
    """name -> (kind, make)."""
    for t in targets:
        target = read_target(t)
        schemes = (
            target.quantization.transformer if is_transformer(graph) else target.quantization.cnn
        )
        base = make_backend(graph, target, "fp32")
        for name, scheme in schemes.items():
            yield f"{t}: {name}", lambda b=base, s=scheme: b.quantized(s, calibration)
        first = next(iter(schemes.values()))
        yield f"{t}: 1 calibration picture", lambda b=base, s=first: b.quantized(s, calibration[:1])
    o = read_target("openvino")
    fl = lambda g: make_backend(g, o, "fp32")
    for level in NOISES:
        yield f"weight noise {level}", lambda l=level: fl(with_weights(graph, noisy(l)))
    for bits in BITS:
        yield f"{bits}-bit weights", lambda b=bits: fl(with_weights(graph, rounded(b)))
    for share in (0.6, 0.4):
        yield f"sums clipped at {share}", lambda s=share: fl(clipped(graph, calibration[:32], s))
    yield "a lost layer", lambda: fl(without_layer(graph))


def collect(name, run, data, out):
    data = open_data(data)
    run = Run.open(run)
    trained = run.description
    model = run.load()
    target = read_target("openvino")
    graph = to_onnx(
        folded(model, crop_form=target.crop),
        trained.normalization,
        trained.preprocess.size,
        target.opset,
    )
    train = data.split("train")
    test = data.split("test")
    cal = draw_by_class(train, CALIBRATION)
    paths = {s.path for s in cal}
    rest = [s for s in train if s.path not in paths]
    rest = [rest[i] for i in np.random.default_rng(0).permutation(len(rest))[:TRAIN_PICTURES]]
    images = prepared_images(data, test, trained.preprocess)
    calibration = prepared_images(data, cal, trained.preprocess)
    sets = {
        "test": images,
        "views": views(images, VIEWS),
        "train": prepared_images(data, rest, trained.preprocess),
        "calibration": calibration,
    }
    p = trained.preprocess
    other = {
        "bilinear, not antialiased": p.model_copy(
            update={"kernel": "bilinear", "antialias": False}
        ),
        "no centre crop": p.model_copy(update={"crop_fraction": 1.0}),
    }
    base = make_backend(graph, target, "fp32")
    res = {f"torch/{k}": base.run(v) for k, v in sets.items()}
    res["labels/test"] = labels_of(test)
    res["labels/train"] = labels_of(rest)
    res["train_counts"] = np.array(data.counts("train"))
    print(
        name, "torch", 100 * (res["torch/test"].argmax(1) == res["labels/test"]).mean(), flush=True
    )
    calls = {"fp32": base.call(calibration[:1])}

    def keep(form, backend):
        t = time.time()
        correct = ":" in form
        shift = 0.0
        for k in ("calibration", "test", "views", "train"):
            o = backend.run(sets[k])
            if k == "calibration":
                if correct:
                    shift = (res["torch/calibration"] - o).mean(0)
                if "1 calibration" in form:
                    shift = (res["torch/calibration"] - o)[:1].mean(0)
            res[f"{form}/{k}"] = (o + shift).astype(np.float32)
        r, c, y = res["torch/test"].argmax(1), res[f"{form}/test"].argmax(1), res["labels/test"]
        print(
            f"{form:40s} drop {100 * ((r == y).mean() - (c == y).mean()):+.2f} agree {100 * (r == c).mean():.2f} {time.time() - t:.0f}s",
            flush=True,
        )

    for form, make in forms(graph, calibration):
        try:
            backend = make()
        except Exception as e:
            print("FAILED", form, repr(e)[:300], flush=True)
            continue
        keep(form, backend)
        if form.startswith("openvino"):
            calls[form] = backend.call(calibration[:1])
        np.savez(out, **res)
    for form, q in other.items():
        s2 = {
            "test": prepared_images(data, test, q),
            "train": prepared_images(data, rest, q),
            "calibration": prepared_images(data, cal, q),
        }
        s2["views"] = views(s2["test"], VIEWS)
        sets = s2
        keep("wrong resize, " + form, base)
    sets = {
        k: v[..., ::-1].copy() for k, v in {"test": images, "views": views(images, VIEWS)}.items()
    }
    sets |= {"train": s2["train"][..., ::-1].copy(), "calibration": calibration[..., ::-1].copy()}
    keep("red and blue swapped", base)
    ms = measure(calls, Protocol(runs=60, seconds=1.0, warm_up=WarmUp(most_s=5.0)))
    res |= {f"ms/{k}": np.array(v.p50_ms) for k, v in ms.items()}
    np.savez(out, **res)


if __name__ == "__main__":
    import sys

    collect(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
