"""Which networks of timm reach a device: the smallest of every family, with random weights.

    .venv/bin/python benchmarks/timm_models.py

exports each for every target, opens the bundle by the device's own code (Jetson graphs, which
NVIDIA's builder has accepted, in ONNX Runtime), and compares its logits with torch's: in float32,
and in INT8 by the first scheme of the target. A family is a module of timm and the first word of a
name. Those with a network of under 12 million parameters count; of modules that have none, the
smallest network is shown beyond that.

A network is worked on in a process of its own, with a time limit, and what is known of it is kept:
the command goes on where it was stopped; `--only mobilevit_xxs` works on that one again. In the end
the table of docs/networks.md is written anew; `--page` does that alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import re
import resource
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edge_fgir._files import write_json
from edge_fgir.benchmarking import environment
from edge_fgir.runtime import target_names

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "timm_models.json"
PAGE = ROOT / "docs" / "networks.md"
TABLE = re.compile(r"(?<=<!-- benchmarks/timm_models.py -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)
"""Where the page has the table."""

SMALL = 12_000_000
"""Parameters; a family with a network of fewer counts."""
LEAST_SHARE = 0.95
"""Of those families, on every target."""
MOST_DELTA = 1e-3
"""Of a centred logit, torch to the opened float32 bundle; ten times that of how much it varies."""

_MOST_BYTES = 12 << 30
_PRELOADED = [
    "edge_fgir.exporting.export",
    "onnxruntime",
    "openvino",
    "onnxscript",
    "torch._dynamo",
]
"""Read once, before the processes part."""

Row = dict[str, Any]


def count_all() -> dict[str, int]:
    """Return the parameters of all networks of timm, which takes minutes."""
    import timm
    import torch

    from edge_fgir.models import count_params

    counts = {}
    for name in timm.list_models():
        if timm.models.model_entrypoint(name).__module__.startswith("timm."):
            with warnings.catch_warnings(), torch.device("meta"):
                warnings.simplefilter("ignore")
                counts[name] = count_params(timm.create_model(name))
    return counts


def family_of(name: str) -> str:
    """Return a network's module in timm and the first word of its name without its size."""
    from timm.models._registry import _model_to_module

    word = re.sub(r"^(?:test|tf|ese|legacy)_", "", name).split("_")[0]
    return f"{_model_to_module[name]}/{re.sub(r'(?<!v)[0-9]+[a-z]*$', '', word)}"


def smallest_of_families(counts: dict[str, int]) -> dict[str, Row]:
    """Return ``family`` and ``params`` of every family's smallest network, by its name.

    Of a module that has no small one there is the smallest.

    The tiny ones that timm tests itself with stand for a family that has no others.
    """
    ranked = sorted(counts, key=lambda name: (name.startswith("test_"), counts[name]))
    names: dict[str, str] = {}
    for name in ranked:
        if counts[name] < SMALL:
            names.setdefault(family_of(name), name)
    modules = {family.split("/")[0] for family in names}
    for name in ranked:
        module = family_of(name).split("/")[0]
        if module not in modules:
            names[family_of(name)] = name
            modules.add(module)
    return {name: {"family": f, "params": counts[name]} for f, name in names.items()}


def in_own_process(name: str, targets: Sequence[str], limit: float) -> Row:
    """Return the row of a network, whatever becomes of the process that makes it."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, name, targets))
    process.start()
    theirs.close()
    error = f"over {limit:.0f} s"
    try:
        if ours.poll(limit):
            row: Row = ours.recv()
            return row
    except EOFError:
        process.join()
        error = f"its process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return {"network": name, "targets": {target: {"error": error} for target in targets}}


def _work(answer: Connection, name: str, targets: Sequence[str]) -> None:
    import torch
    from timm_export import row_of

    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
    torch.set_num_threads(1)
    gc.disable()  # a fifth of an export's time, for a process that ends soon
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer.send(row_of(name, targets))


def right(row: Row, target: str) -> bool:
    """Say whether a network's float32 bundle gives torch's logits on a target."""
    delta = row.get("targets", {}).get(target, {}).get("delta")
    return delta is not None and delta <= MOST_DELTA * min(1.0, 10 * row["varies"])


def told(row: Row) -> Iterator[str]:
    """Yield the lines that say what a row holds."""
    where = f"{row['family']:36} {row['network']:32} {row.get('size', 0):4} px"
    yield f"{where} {row.get('error', '')}"
    for name, result in row.get("targets", {}).items():
        int8 = result.get("int8", {})
        error = int8.get("error") or f"{int8.get('relative_error', float('nan')):.3f}"
        delta = result.get("delta", float("nan"))
        yield f"    {name:9} {delta:.1e}  INT8 {error}  {result.get('error', '')}"


def targets_of(body: Row) -> list[str]:
    """Return the targets that some network was tried for."""
    tried = {target for row in body["rows"] for target in row.get("targets", {})}
    return [target for target in target_names() if target in tried]


def shares(body: Row) -> Iterator[tuple[str, str, int, int]]:
    """Yield, for small families and those beyond, target, how many are right, and of how many."""
    rows = {row["network"]: row for row in body["rows"]}
    for title, least, most in (("small", 0, SMALL), ("beyond", SMALL, float("inf"))):
        names = [n for n, known in body["networks"].items() if least <= known["params"] < most]
        for target in targets_of(body):
            yield title, target, sum(right(rows.get(n, {}), target) for n in names), len(names)


def table(body: Row) -> str:
    """Return the rows as tables of Markdown: one line of shares, then a line a network."""
    targets = targets_of(body)
    counted = [
        f"{target} {good} of {count}"
        for title, target, good, count in shares(body)
        if title == "small"
    ]
    lines = [
        f"Small families that reach a device: {', '.join(counted)} (timm {body['timm']}).",
        "",
        f"| family | network | parameters | px | {' | '.join(targets)} |",
        f"|---|---|---|---|{'---|' * len(targets)}",
    ]
    for row in sorted(body["rows"], key=lambda row: (row["params"] >= SMALL, row["family"])):
        cells = [_cell(row, target) for target in targets]
        params = f"{row['params'] / 1e6:.1f} M"
        known = (row["family"], row["network"], params, str(row.get("size", "")), *cells)
        lines.append(f"| {' | '.join(known)} |")
    return "\n".join(lines)


def _cell(row: Row, target: str) -> str:
    result = row.get("targets", {}).get(target)
    if result is None:
        return "not run" if "error" not in row else "refused"
    if not right(row, target):
        return "refused" if "error" in result else f"**{result['delta']:.0e}**"
    int8 = result["int8"]
    error = "refused" if "error" in int8 else f"{100 * int8['relative_error']:.0f} %"
    return f"{result['delta']:.0e}, {error}"


def main() -> None:
    """Work on what is not known yet, print and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = target_names()
    parser.add_argument("--targets", nargs="+", choices=names, default=names)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these again")
    parser.add_argument("--workers", type=int, default=2, help="networks at once")
    parser.add_argument("--limit", type=float, default=400, help="seconds a network and target")
    parser.add_argument("--page", action="store_true", help="write the table of the page alone")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    arguments = parser.parse_args()
    body = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    if not arguments.page:
        work(body, arguments)
    if arguments.out == RESULT:
        PAGE.write_text(TABLE.sub(lambda _: table(body), PAGE.read_text()))
    for title, target, good, count in shares(body):
        ok = title == "beyond" or good >= LEAST_SHARE * count
        print(f"{title:7} {target:9} {good} of {count}  {'ok' if ok else 'MISSED'}")


def work(body: Row, arguments: argparse.Namespace) -> None:
    """Add to ``body``, and to its file, what is not known yet."""
    import timm

    if body.get("timm") != timm.__version__:
        body.clear()
        body |= {"schema": "edge-fgir/benchmark/1", "timm": timm.__version__}
        body |= {"networks": smallest_of_families(count_all()), "rows": []}
        write_json(arguments.out, body)
    networks = body["networks"]
    rows = {row["network"]: row for row in body["rows"]}
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    with ThreadPoolExecutor(arguments.workers) as pool:
        tasks = []
        for name in sorted(networks, key=lambda name: networks[name]["params"]):
            known = rows.get(name, {}).get("targets", {})
            targets = [t for t in arguments.targets if name in arguments.only or t not in known]
            if targets and name in (arguments.only or networks):
                limit = arguments.limit * len(targets)
                tasks.append(pool.submit(in_own_process, name, targets, limit))
        for task in as_completed(tasks):
            row = task.result()
            name = row["network"]
            known = rows.get(name, {}).get("targets", {})
            merged = {"targets": {**known, **row.get("targets", {})}}
            rows[name] = {**networks[name], **row, **merged}
            print("\n".join(told(rows[name])), flush=True)
            body["rows"] = [rows[name] for name in sorted(rows)]
            body["environment"] = environment().model_dump(mode="json")
            write_json(arguments.out, body)


if __name__ == "__main__":
    main()
