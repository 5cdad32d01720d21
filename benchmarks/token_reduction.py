"""What token reduction gives on this machine's CPU: measured speed-up beside the ratio of MACs.

    .venv/bin/python benchmarks/token_reduction.py

on a machine that does nothing else (about half an hour). Every network is exported (float32, batch
1, fixed shapes) with random weights: speed does not depend on them. Per network and runtime, all
settings take turns in one run; the value is the ratio of their median latencies. `--quick` only
shows that it works.

The reducer's own share is found by replacing it with one that keeps the first tokens: as many of
them, chosen by nothing. "short" is the form that `edge-fgir export` makes, in which the last block
works for the class token alone; the others let every token through it, as MACs are counted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from timed import RUNTIMES, Case, Run
from timm.models.vision_transformer import Block

from edge_fgir._files import write_json
from edge_fgir.benchmarking import Protocol, WarmUp, environment, measure
from edge_fgir.exporting.graph import to_onnx
from edge_fgir.models import Network, summarize
from edge_fgir.models.folding import folded
from edge_fgir.models.reduction import (
    ReducedViT,
    Reducer,
    Reduction,
    ReductionStage,
    Tokens,
    attend,
)
from edge_fgir.runtime.manifest import Normalization

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "token_reduction.json"
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLASSES = 200
RATES = (0.9, 0.7, 0.5, 0.25, 0.1)
LEAST_SHARE = {0.9: 0.92, 0.7: 0.92, 0.5: 0.92, 0.25: 0.88, 0.1: 0.88}
"""Measured speed-up / ratio of MACs that is to be reached, by keep rate."""
MOST_CLCA, MOST_REDUCER = 4.0, 2.0
"""Percent of the latency."""

_MIN_RUNS = 40

NETWORKS = (
    Case("vitfs_tiny", 224),
    Case("vit_base_patch16_224", 224),
    Case("vit_base_patch16_224", 448),
)
QUICK = (Case("vitfs_nano", 96),)


@dataclass(frozen=True)
class Setting:
    """What is done to a network's tokens."""

    keep_rate: float
    clca: bool = False
    blind: bool = False
    short: bool = False

    def __str__(self) -> str:
        parts = [f"EViT {self.keep_rate:g}" if self.keep_rate < 1 else "all tokens"]
        parts += ["CLCA"] * self.clca + ["blind"] * self.blind + ["short"] * self.short
        return ", ".join(parts)


WHOLE = Setting(1.0)
SETTINGS = (
    WHOLE,
    *(Setting(rate) for rate in RATES),
    *(Setting(rate, clca=True) for rate in (1.0, 0.7, 0.5)),
    *(Setting(rate, blind=True) for rate in (0.7, 0.5)),
    *(Setting(rate, clca=clca, short=True) for rate in (0.7, 0.5) for clca in (False, True)),
)


def settings_of(network: Case) -> list[Setting]:
    """Return what is measured: on the slowest network only what is compared with MACs."""
    return [s for s in SETTINGS if network.size < 448 or not (s.blind or s.short)]


class Blind(Reducer):
    """Keeps the first tokens: what reduction costs when choosing is free."""

    def forward(self, block: Block, tokens: Tokens, stage: ReductionStage) -> Tokens:
        """Return the tokens that the block's MLP sees."""
        return Tokens(attend(block, tokens)[0].x[:, : stage.kept])


def build(network: Case, setting: Setting) -> tuple[onnx.ModelProto, float]:
    """Return the exported graph and its GMACs."""
    torch.manual_seed(0)
    reduction = Reduction(
        method="evit",
        keep_rate=setting.keep_rate,
        cla=setting.clca,
        clr_tokens=int(setting.clca),
    )
    model = Network(name=network.name, reduction=reduction).build(CLASSES, network.size).eval()
    assert isinstance(model, ReducedViT)
    if setting.blind:
        for block in model.reducers:
            model.reducers[block] = Blind(model.layout)
    gmacs = summarize(model, str(network), network.size, CLASSES).gmacs
    form = folded(model, class_token_only=setting.short)
    return to_onnx(form, NORMALIZATION, network.size, opset=18), gmacs


def rows_of(network: Case, seconds: float) -> Iterator[dict[str, Any]]:
    """Measure every setting of a network in both runtimes."""
    image = np.random.default_rng(0).integers(
        0, 256, (1, network.size, network.size, 3), dtype=np.uint8
    )
    settings = settings_of(network)
    graphs = {setting: build(network, setting) for setting in settings}
    calls: dict[str, Run] = {}
    for runtime, load in RUNTIMES.items():
        calls.clear()  # fifteen large networks in two runtimes at once fill the memory
        calls = {str(s): load(graph, image) for s, (graph, _) in graphs.items()}
        found = measure(
            calls, Protocol(seconds=seconds, runs=_MIN_RUNS, warm_up=WarmUp(most_s=5.0))
        )
        p50 = {s: found[str(s)].p50_ms for s in settings}
        gmacs = {s: graphs[s][1] for s in settings}
        for setting in settings:
            plain = replace(setting, clca=False, blind=False)
            mac_ratio, speed_up = gmacs[WHOLE] / gmacs[setting], p50[WHOLE] / p50[setting]
            common: dict[str, Any] = {
                "network": str(network),
                "runtime": runtime,
                "setting": str(setting),
                "gmacs": round(gmacs[setting], 4),
                "p50_ms": round(p50[setting], 3),
                "mac_ratio": round(mac_ratio, 3),
                "speed_up": round(speed_up, 3),
            }
            if setting.clca:
                extra = 100 * (p50[setting] / p50[plain] - 1)
                macs = 100 * (gmacs[setting] / gmacs[plain] - 1)
                yield {
                    **common,
                    **judged("extra latency, %", extra, f"<= {MOST_CLCA:g}", extra <= MOST_CLCA),
                    "extra_macs_percent": round(macs, 2),
                }
            elif setting.blind:
                share = 100 * (1 - p50[setting] / p50[plain])
                yield {
                    **common,
                    **judged("reducer, %", share, f"< {MOST_REDUCER:g}", share < MOST_REDUCER),
                }
            elif setting != WHOLE and not setting.short:
                share = speed_up / mac_ratio
                least = LEAST_SHARE[setting.keep_rate]
                yield {
                    **common,
                    **judged("speed-up / MAC ratio", share, f">= {least:g}", share >= least),
                }
            else:
                yield common


def judged(what: str, value: float, bound: str, ok: bool) -> dict[str, Any]:
    """Return what a row is measured by."""
    return {"what": what, "value": round(value, 3), "bound": bound, "ok": bool(ok)}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    for row in rows:
        verdict = ""
        if "what" in row:
            mark = "ok" if row["ok"] else "MISSED"
            verdict = f"{row['what']:22} {row['value']:8.3f} {row['bound']:>8} {mark}"
        print(
            f"{row['network']:30} {row['runtime']:13} {row['setting']:20} "
            f"{row['gmacs']:8.3f} GMACs {row['p50_ms']:9.2f} ms "
            f"{row['mac_ratio']:6.2f} x MACs {row['speed_up']:6.2f} x time  {verdict}",
            flush=True,
        )


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="for each setting")
    parser.add_argument("--quick", action="store_true", help="see that it works; tells no speed")
    parser.add_argument(
        "--only", nargs="+", default=[], help="networks; the result file's others stay"
    )
    parser.add_argument("--out", type=Path, help=f"result file; a whole run: {RESULT}")
    arguments = parser.parse_args()
    networks: Sequence[Case] = QUICK if arguments.quick else NETWORKS
    rows: list[dict[str, Any]] = []
    if arguments.only:
        networks = [n for n in networks if str(n) in arguments.only]
        known = json.loads((arguments.out or RESULT).read_text())["rows"]
        rows = [row for row in known if row["network"] not in arguments.only]
    for network in networks:
        found = list(rows_of(network, 0.2 if arguments.quick else arguments.seconds))
        show(found)
        rows += found
        out = arguments.out or (None if arguments.quick else RESULT)
        if out:  # after each network: the next may take long
            body = {
                "schema": "edge-fgir/benchmark/1",
                "rows": rows,
                "environment": environment().model_dump(mode="json"),
            }
            write_json(out, body)


if __name__ == "__main__":
    main()
