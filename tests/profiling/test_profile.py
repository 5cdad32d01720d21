"""From a trained run to a plan and the bundle that it describes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("onnx")
pytest.importorskip("openvino")


import edge_fgir
from edge_fgir import Classifier, EdgeFgirError, InputError
from edge_fgir.benchmarking import (
    LocalDevice,
    Protocol,
    StoppingRule,
    Timing,
    WarmUp,
    environment,
)
from edge_fgir.data import open_data
from edge_fgir.exporting import read_target
from edge_fgir.models.setting import Setting
from edge_fgir.profiling import (
    REPORT,
    RESULT,
    Budget,
    DeviceRef,
    Plan,
    Request,
    device_ref,
    fit,
    pipeline,
    probe_bundles,
    profile,
    search_space,
)
from edge_fgir.profiling import finalists as finalists_module
from edge_fgir.profiling.fit import FittedModel, ProbedModel
from edge_fgir.profiling.latency_models import latency_models
from edge_fgir.profiling.workload import Workload
from edge_fgir.results import Energy, Latency, Percentiles, Profile, Scopes, read_result
from edge_fgir.runs import Run, TrainedModel
from edge_fgir.runtime import verify

pytestmark = pytest.mark.export

WARM_UP = WarmUp(least_s=0, most_s=0.05)
SHORT = {
    "probing": Protocol(rounds=1, runs=2, warm_up=WARM_UP, stop=StoppingRule(most=4)),
    "benching": Protocol(runs=100, seconds=0.1, warm_up=WARM_UP),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few settings, few probes, one finalist a round."""
    monkeypatch.setattr(search_space, "RATES", (1.0, 0.5))
    monkeypatch.setattr(fit, "choose_probes", lambda works, load, count: few(len(works)))
    monkeypatch.setattr(finalists_module, "AT_ONCE", 1)


@pytest.fixture
def pretended(monkeypatch):
    """A device that takes a millisecond for 1024 pixels; nothing is built."""
    percentiles = Percentiles(
        p50_ms=1.5,
        p90_ms=2.0,
        p99_ms=3.0,
        mean_ms=1.6,
        sd_ms=0.1,
        max_ms=3.0,
        n=1000,
        p50_interval_ms=(1.4, 1.6),
        steady=True,
    )
    latency = Latency.model_construct(
        scopes=Scopes(network=percentiles, frame_to_decision=percentiles),
        energy=Energy(reason="no meter"),
        peak_memory_mb=90.0,
        certified=False,
    )

    def timings(probed, device, settings, precision, graphs):
        ms = [setting.image_size**2 / 1024 for setting in settings]
        return [Timing(network_ms=each, frame_ms=each, tail=2.0, disturbed=False) for each in ms]

    def built(run, target, data, out, options):
        precision = options.precision
        stages = [{"top1": 75.0}]
        return SimpleNamespace(
            manifest=SimpleNamespace(precision="fp32" if precision == "auto" else precision),
            report=lambda name: {"stages": stages},
            model_size=1_000_000,
        )

    monkeypatch.setattr(fit, "_timings", timings)
    monkeypatch.setattr(finalists_module, "export", built)
    monkeypatch.setattr(finalists_module, "bundle_answers", lambda *arguments: None)
    monkeypatch.setattr(pipeline, "held_out_accuracy", lambda *arguments: None)
    monkeypatch.setattr(LocalDevice, "bench", lambda self, bundle, **options: latency)


def few(count):
    return sorted({0, count // 2, count - 1})


@pytest.fixture
def cnn(tiny_run, tmp_path):
    """A copy of the LRNet's run, as a profile leaves files in it."""
    return shutil.copytree(tiny_run, tmp_path / "cnn")


@pytest.fixture
def vit(vit_run, tmp_path):
    return shutil.copytree(vit_run, tmp_path / "vit")


def request(
    photos,
    *runs,
    sizes=(),
    device="local",
    precisions=("fp32",),
    target="openvino",
    **b,
):
    return Request(
        runs=runs,
        data=open_data(str(photos)),
        target=read_target(target),
        device=DeviceRef.parse(device),
        budget=Budget(**b),
        sizes=sizes,
        precisions=precisions,
        **SHORT,
    )


def test_a_transformer_from_probes_to_bundle(photos, vit, tmp_path, run_cli):
    said = []
    asked = request(photos, vit, sizes=(32, 64), latency_ms=1000)
    plan = profile(asked, tmp_path / "plan.json", said.append)
    assert Plan.read(tmp_path / "plan.json") == plan
    assert plan.chosen.measured
    assert plan.chosen.latency_ms <= 1000
    kept = FittedModel.read(vit / "profile" / "latency-local-openvino-fp32.json")
    assert len(kept.probes) == 3
    assert any("probes in" in line for line in said)

    body: Any = read_result((tmp_path / "plan.json").with_suffix(RESULT), Profile).to_dict()
    chosen = [point for point in body["points"] if point["role"] == "chosen"]
    assert [point["measured"]["p50_ms"] for point in chosen] == [plan.chosen.latency_ms]
    assert body["test"]["images"] == 36
    assert "edge-fgir" in (tmp_path / "plan.json").with_suffix(REPORT).read_text()

    exported = run_cli(
        *("export", vit, "--target", "openvino", "--data", photos),
        *("--plan", tmp_path / "plan.json", "--out", tmp_path / "leaves.fgir"),
    )
    assert exported.code == 0, exported.err
    with Classifier.open(tmp_path / "leaves.fgir") as model:
        assert model.bundle.preprocess.size == plan.chosen.image_size
        assert model.bundle.manifest.precision == plan.chosen.precision
        assert model.bundle.report("accuracy")["top1"] == pytest.approx(plan.chosen.top1)
    assert all(check.ok for check in verify(tmp_path / "leaves.fgir"))


def test_what_was_measured_is_not_measured_again(photos, cnn, tmp_path, pretended, monkeypatch):
    asked, said = request(photos, cnn, sizes=(32, 48, 64)), []
    profile(asked, tmp_path / "plan.json")
    monkeypatch.setattr(fit, "_timings", None)
    profile(asked, tmp_path / "again.json", said.append)
    assert any("probes of an earlier call" in line for line in said)
    known = environment()
    newer = known.model_copy(update={"versions": {**known.versions, "openvino": "2099.1"}})
    monkeypatch.setattr(LocalDevice, "_identify", lambda self: newer)
    with pytest.raises(TypeError):
        profile(asked, tmp_path / "newer.json")
    with pytest.raises(TypeError):
        profile(request(photos, cnn, sizes=(32, 96)), tmp_path / "wider.json")


def test_a_cnn_is_profiled_over_size_and_precision(photos, cnn, tmp_path, monkeypatch):
    made, timing_graph = [], probe_bundles.timing_graph  # type: ignore[attr-defined]
    monkeypatch.setattr(
        probe_bundles,
        "timing_graph",
        lambda t, target: made.append(t.preprocess.size) or timing_graph(t, target),
    )
    asked = request(photos, cnn, sizes=(32, 64), precisions=(), latency_ms=1000)
    plan = profile(asked, tmp_path / "plan.json")
    assert plan.chosen.keep_rate is None
    assert plan.chosen.image_size in (32, 64)
    body: Any = read_result(tmp_path / "plan.profile.json", Profile).to_dict()
    assert made == [32, 64]  # one graph a size serves both precisions
    assert {model["precision"] for model in body["runs"][0]["models"]} == {"int8", "fp32"}
    assert {model["staircase"] for model in body["runs"][0]["models"]} == {None}


def test_an_impossible_budget_names_the_nearest_that_fits(photos, cnn, tmp_path, pretended):
    asked = request(photos, cnn, sizes=(32,), latency_ms=1e-4)
    with pytest.raises(InputError) as refused:
        profile(asked, tmp_path / "plan.json")
    text = str(refused.value)
    assert "no setting keeps the budget on local: the fastest, 32 px in fp32, takes latency" in text
    assert "the nearest is --latency-ms" in text
    assert not (tmp_path / "plan.json").exists()
    assert text.endswith("--latency-ms 1.1")
    profile(request(photos, cnn, sizes=(32,), latency_ms=2), tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("budget", "what", "nearest"),
    [
        ({"size_mb": 0.01}, "the smallest", r"--size-mb [\d.]+$"),
        (
            {"size_mb": 0.01, "latency_ms": 0.1},
            "the smallest",
            r"--latency-ms 1\.1 --size-mb [\d.]+$",
        ),
        (
            {"size_mb": 999, "latency_ms": 0.1},
            "the fastest of at most 999 MB of model files",
            r"--latency-ms 1\.1$",
        ),
    ],
)
def test_an_impossible_budget_names_the_bound_that_is_too_tight(
    photos, cnn, tmp_path, pretended, budget, what, nearest
):
    with pytest.raises(InputError, match=rf"{what}, 32 px .* the nearest is {nearest}") as refused:
        profile(request(photos, cnn, sizes=(32, 64), **budget), tmp_path / "plan.json")
    if list(budget) == ["size_mb"]:
        least = float(str(refused.value).rpartition(" ")[2])
        profile(request(photos, cnn, sizes=(32, 64), size_mb=least), tmp_path / "plan.json")


def test_a_finalist_that_turns_out_too_slow_is_not_chosen(photos, cnn, tmp_path, pretended):
    asked = request(photos, cnn, sizes=(32,), latency_ms=1.2)
    with pytest.raises(InputError, match=r"the nearest, 32 px in fp32, takes latency 1\.5 ms of 1"):
        profile(asked, tmp_path / "plan.json")


def test_a_bound_for_the_99th_percentile_leaves_room_for_the_tail(photos, cnn, tmp_path, pretended):
    asked = request(photos, cnn, sizes=(32, 64), latency_ms=3.5, percentile="p99")
    plan = profile(asked, tmp_path / "plan.json")
    assert plan.chosen.image_size == 32  # predicted: 1 ms and twice that; 64 px: 4 ms
    assert plan.chosen.p99_ms == 3.0


def test_memory_and_size_are_budgets_too(photos, cnn, tmp_path, pretended):
    with pytest.raises(InputError, match="memory 90 MB of 50"):
        profile(request(photos, cnn, sizes=(32,), memory_mb=50), tmp_path / "plan.json")
    with pytest.raises(InputError, match=r"size .* MB of 0\.01"):
        profile(request(photos, cnn, sizes=(32,), size_mb=0.01), tmp_path / "plan.json")


def test_the_fastest_that_is_accurate_enough(photos, cnn, tmp_path, pretended):
    asked = request(photos, cnn, sizes=(32, 64), min_accuracy=40)
    plan = profile(asked, tmp_path / "plan.json")
    assert plan.chosen.top1 >= 40
    assert plan.why.startswith("the fastest")


def test_a_bundle_that_lost_the_accuracy_asked_for_is_not_chosen(
    photos, cnn, tmp_path, monkeypatch, pretended
):
    from edge_fgir.profiling import accuracies

    monkeypatch.setattr(accuracies, "top_k", lambda *a: 90.1)  # in torch; the bundles have 75 %
    with pytest.raises(InputError, match=r"32 px in fp32, has top-1 75\.00 %; expected 90 %"):
        profile(request(photos, cnn, sizes=(32, 64), min_accuracy=90), tmp_path / "plan.json")
    assert not (tmp_path / "plan.json").exists()


def test_an_accuracy_out_of_reach_is_refused_with_the_best(
    photos, vit, tmp_path, monkeypatch, pretended
):
    from edge_fgir.profiling import accuracies

    monkeypatch.setattr(accuracies, "top_k", lambda *a: 50.0)
    with pytest.raises(InputError, match=r"top-1 is at most 50\.00 % within the budget .*99 %"):
        profile(request(photos, vit, sizes=(32,), min_accuracy=99), tmp_path / "plan.json")


def test_a_bound_that_nothing_measures_is_refused(photos, cnn, tmp_path, pretended):
    asked = request(photos, cnn, sizes=(32,), energy_mj=1000)
    with pytest.raises(InputError, match="energy_mj, which this device does not tell: no meter; "):
        profile(asked, tmp_path / "plan.json")
    estimated = request(
        photos, cnn, device="jetson-orin-nano-8gb", target="jetson", energy_mj=5, memory_mb=900
    )
    with pytest.raises(InputError, match="for memory_mb, energy_mj, which the data sheet of"):
        profile(estimated, tmp_path / "plan.json")


@pytest.mark.parametrize(("joules", "mj"), [(0.03, 30), (-0.001, 0)])
def test_energy_is_measured_where_it_has_a_bound(
    photos, cnn, tmp_path, pretended, monkeypatch, joules, mj
):
    modes, burst = [], LocalDevice.bench(None, None)
    metered = burst.model_copy(update={"energy": Energy(joules_per_frame=joules)})

    def bench(self, bundle, *, mode, **options):
        modes.append(mode)
        return metered if mode == "sustained" else burst

    monkeypatch.setattr(LocalDevice, "bench", bench)
    profile(request(photos, cnn, sizes=(32,), energy_mj=40), tmp_path / "plan.json")
    profile(request(photos, cnn, sizes=(32,)), tmp_path / "plan.json")
    assert modes == ["sustained", "burst"]
    if mj:
        with pytest.raises(InputError, match=f"takes energy {mj} mJ of 20"):
            profile(request(photos, cnn, sizes=(32,), energy_mj=20), tmp_path / "other.json")


def test_a_device_that_is_not_here_is_estimated_and_says_so(photos, cnn, tmp_path):
    asked = request(
        photos, cnn, sizes=(32, 64), device="jetson-orin-nano-8gb", target="jetson", latency_ms=50
    )
    assert not asked.device.is_at_hand
    plan = profile(asked, tmp_path / "plan.json")
    assert plan.estimate
    assert not plan.chosen.measured
    assert "estimated" in plan.why
    body: Any = read_result(tmp_path / "plan.profile.json", Profile).to_dict()
    assert not body["measured"]
    assert all(point["measured"] is None for point in body["points"])
    assert not (cnn / "profile" / "latency-jetson-orin-nano-8gb-jetson-fp32.json").exists()


def test_several_runs_lie_on_one_front(photos, cnn, vit, tmp_path, pretended):
    plan = profile(request(photos, cnn, vit, sizes=(32,)), tmp_path / "plan.json")
    body: Any = read_result(tmp_path / "plan.profile.json", Profile).to_dict()
    assert [run["name"] for run in body["runs"]] == ["tiny", "leaves"]
    assert {point["run"] for point in body["points"]} == {"tiny", "leaves"}
    assert plan.run in ("tiny", "leaves")
    costs = body["costs"]
    assert [c["latency_ms"] for c in costs] == sorted(c["latency_ms"] for c in costs)
    assert [c["top1"] for c in costs] == sorted(c["top1"] for c in costs)


def test_a_calibration_file_replaces_measuring(photos, cnn, tmp_path, monkeypatch, pretended):
    asked = request(photos, cnn, sizes=(32, 64), latency_ms=1000)
    profile(asked, tmp_path / "plan.json")
    kept = cnn / "profile" / "latency-local-openvino-fp32.json"
    elsewhere = tmp_path / "measured.json"
    shutil.move(kept, elsewhere)
    said = []
    profile(replace(asked, calibration=elsewhere), tmp_path / "plan.json", said.append)
    assert not kept.exists()
    assert not any("probes" in line for line in said)

    other = json.loads(elsewhere.read_text())
    other["device"]["instructions"] = ["mmx"]
    elsewhere.write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"with instructions \['mmx'\]; expected this device"):
        profile(replace(asked, calibration=elsewhere), tmp_path / "plan.json")
    other["device"]["processor"] = "another one"
    elsewhere.write_text(json.dumps(other))
    with pytest.raises(InputError, match="was measured on another one; expected this device"):
        profile(replace(asked, calibration=elsewhere), tmp_path / "plan.json")


def test_a_calibration_file_of_a_precision_that_is_not_asked_for_is_refused(
    photos, cnn, tmp_path, pretended
):
    asked = request(photos, cnn, sizes=(32, 64))
    profile(asked, tmp_path / "plan.json")
    kept = cnn / "profile" / "latency-local-openvino-fp32.json"
    given = tmp_path / "x.int8.json"
    given.write_text(json.dumps({**json.loads(kept.read_text()), "precision": "int8"}))
    words = r"measured in int8; expected a latency model in fp32, .* --precision int8, or leave"
    with pytest.raises(InputError, match=words):
        profile(replace(asked, calibration=given), tmp_path / "other.json")
    assert not (tmp_path / "other.json").exists()
    both = replace(asked, calibration=given, precisions=("int8", "fp32"))
    profile(both, tmp_path / "other.json")


def test_another_width_is_measured_with_few_probes(
    photos, vit, cnn, tmp_path, pretended, monkeypatch
):
    asked = request(photos, vit, sizes=(32, 64))
    profile(asked, tmp_path / "plan.json")
    kept = vit / "profile" / "latency-local-openvino-fp32.json"
    calibration = shutil.move(kept, tmp_path / "measured.json")
    wider = json.loads((vit / "model.json").read_text())
    wider["num_classes"] = 3
    wider["network"]["options"]["embed_dim"] = 96
    described = TrainedModel.model_validate(wider)
    counts = []

    def chosen(works, load, count):
        counts.append(count)
        return few(len(works))

    monkeypatch.setattr(fit, "choose_probes", chosen)
    space = search_space.SearchSpace(described, (32, 64))
    with LocalDevice() as device:
        found = latency_models(
            ProbedModel(described, space, asked.target, device),
            asked.device,
            ("fp32",),
            tmp_path / "other",
            calibration,
        )
    assert counts == [4]
    assert found["fp32"].predict_frames([Workload(described).of(Setting(64))], [64])[0].ms > 0
    with pytest.raises(InputError, match="about another model"):
        profile(replace(request(photos, cnn), calibration=calibration), tmp_path / "plan.json")


class Board(LocalDevice):
    """A device behind ssh, of another processor than this machine's."""

    def __init__(self, *arguments: object) -> None:
        super().__init__()
        self.name = "board"
        self.reached = arguments

    def _identify(self):
        return environment().model_copy(update={"processor": "A76"})


@pytest.fixture
def board(monkeypatch):
    monkeypatch.setattr(device_ref, "RemoteDevice", Board)


@pytest.mark.parametrize("how", ["calibration", "kept"])
def test_a_latency_model_of_another_board_is_refused_over_ssh(
    photos, cnn, tmp_path, pretended, board, how
):
    asked = request(photos, cnn, sizes=(32, 64), latency_ms=1000)
    profile(asked, tmp_path / "plan.json")
    here = cnn / "profile" / "latency-local-openvino-fp32.json"
    there = replace(asked, device=DeviceRef.parse("pi@board"))
    if how == "calibration":
        with pytest.raises(InputError, match=r"was measured on .*; expected this device, A76"):
            profile(replace(there, calibration=here), tmp_path / "plan.json")
        return
    kept = here.rename(here.with_name("latency-pi_board-openvino-fp32.json"))
    said = []
    profile(there, tmp_path / "plan.json", said.append)
    assert "probes in" in said[0]  # measured, not taken from the other board's file
    assert FittedModel.read(kept).device.processor == "A76"


def test_a_device_that_cannot_be_reached_is_refused_before_anything_is_built(
    photos, cnn, tmp_path, monkeypatch, board
):
    def lost(self):
        raise EdgeFgirError("pi@board: the connection did not come back")

    monkeypatch.setattr(Board, "_identify", lost)
    monkeypatch.setattr(fit, "build_probes", None)
    asked = request(photos, cnn, sizes=(32,), device="pi@board", latency_ms=5)
    with pytest.raises(EdgeFgirError, match="did not come back"):
        profile(asked, tmp_path / "plan.json")
    assert not list(tmp_path.glob("plan*"))
    assert not (cnn / "profile").exists()


def test_a_device_that_vanishes_leaves_no_plan(photos, cnn, tmp_path, monkeypatch, board):
    def lost(self, *arguments):
        raise EdgeFgirError("pi@board: the connection did not come back")

    monkeypatch.setattr(Board, "_ask", lost)
    asked = request(photos, cnn, sizes=(32,), device="pi@board", latency_ms=5)
    with pytest.raises(EdgeFgirError, match="did not come back"):
        profile(asked, tmp_path / "plan.json")
    assert not list(tmp_path.glob("plan*"))
    assert not (cnn / "profile").exists() or not list((cnn / "profile").glob("latency*"))


@pytest.mark.export
def test_a_teacher_is_a_candidate_like_any_other(photos, teacher_run, tmp_path, pretended):
    run = shutil.copytree(teacher_run, tmp_path / "teacher")
    asked = request(photos, run, sizes=(32,), precisions=("fp32",), latency_ms=1000)
    plan = profile(asked, tmp_path / "plan.json")
    assert plan.chosen.image_size == 32
    assert plan.chosen.measured


def test_a_run_that_learned_val_is_not_chosen_by_it_unasked(photos, cnn, tmp_path, pretended):
    run = Run(cnn)
    run.config.write_text(run.changed_recipe(["data.with_val=true"]).dump())
    asked = {"sizes": (32,), "precision": "fp32", "target": "openvino"}
    with pytest.raises(InputError, match=r"trained on val as well .* add --accept-data-change"):
        edge_fgir.profile(run, photos, tmp_path / "plan.json", **asked)
    edge_fgir.profile(run, photos, tmp_path / "plan.json", accept_data_change=True, **asked)
    assert (tmp_path / "plan.json").exists()


def test_other_data_is_refused(make_folder, cnn, tmp_path):
    other = make_folder(tmp_path / "other", ("a", "b"))
    with pytest.raises(InputError, match="knows other classes"):
        profile(request(other, cnn, sizes=(32,)), tmp_path / "plan.json")


def test_the_command(photos, cnn, tmp_path, run_cli, pretended):
    out = tmp_path / "plan.json"
    words = ("profile", cnn, "--data", photos, "--sizes", "32,64", "--precision", "fp32")
    done = run_cli(*words, "--latency-ms", 1000, "--out", out)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == [f"plan: {out}", f"report: {out.with_suffix('.html')}"]
    told = run_cli(*words, "--latency-ms", 1000, "--out", out, "--json").json
    assert told["schema"] == "edge-fgir/plan/1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--latency-ms", 0), "--latency-ms 0"),
        (("--min-accuracy", 101), "--min-accuracy 101"),
        (("--percentile", "p95"), "--percentile p95"),
        (("--sizes", "a,b"), "--sizes a,b"),
        (("--precision", "int4"), "--precision int4"),
        (("--device", "toaster"), "unknown device 'toaster'"),
        (("--device", "pi@board"), "without a target"),
        (("--device", "pi@bo ard", "--target", "arm"), "expected user@host"),
    ],
)
def test_bad_words(photos, cnn, tmp_path, run_cli, words, message):
    done = run_cli("profile", cnn, "--data", photos, "--out", tmp_path / "plan.json", *words)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_a_plan_and_options_of_its_own_do_not_mix(photos, cnn, tmp_path, run_cli):
    done = run_cli(
        *("export", cnn, "--target", "openvino", "--data", photos, "--plan", tmp_path / "p.json"),
        *("--image-size", 32, "--out", tmp_path / "x.fgir"),
    )
    assert done.code == 2
    assert "--plan beside --precision, --image-size or --keep-rate" in done.err
