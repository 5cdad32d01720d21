"""``edge-fgir eval`` of run folders: confused pairs, example pictures, CAL's full inference."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle
from PIL import Image
from signing import Keys

from edge_fgir.evaluation import wilson_interval
from edge_fgir.results import Evaluation, read_result

pytestmark = pytest.mark.unit

NAMES = ("1 red", "2 green", "3 blue")
COLORS = ((240, 30, 20), (30, 220, 40), (20, 40, 230))


@pytest.fixture
def mixed(tmp_path):
    """A bundle, and data where two red pictures are called green and one green one red."""
    pytest.importorskip("openvino")
    bundle = make_bundle(tmp_path / "a.fgir", labels=NAMES)
    colors = {"1 red": (0, 0, 1), "2 green": (1, 0, 0), "3 blue": (2, 2)}
    for split in ("train", "val", "test"):
        for name, shown in colors.items():
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number, color in enumerate(shown):
                image = Image.new("RGB", (400, 300), COLORS[color])
                image.save(tmp_path / "data" / split / name / f"{number}.png")
    return bundle, tmp_path / "data"


@pytest.mark.export
@pytest.mark.parametrize("command", ["eval", "thresholds"])
def test_only_what_the_trusted_key_signed_is_asked(run_cli, mixed, tmp_path, command):
    pytest.importorskip("cryptography", reason="signing needs the extra 'sign'")
    bundle, data = mixed
    ours, theirs = (Keys(tmp_path / name) for name in ("ours", "theirs"))
    ours.sign(bundle)
    out = tmp_path / "out"
    given = (command, bundle, "--data", data, "--out", out, "--trust")
    refused = run_cli(*given, theirs.public)
    assert refused.code == 2
    assert "is signed by key" in refused.err
    assert not out.exists()
    assert run_cli(*given, ours.public).code == 0


@pytest.mark.export
def test_confused_pairs_and_their_pictures(run_cli, mixed, tmp_path):
    bundle, data = mixed
    out = tmp_path / "eval.json"
    done = run_cli("eval", bundle, "--data", data, "--json", "--out", out)
    assert done.code == 0
    (pair,) = done.json["confused_pairs"]
    assert pair["classes"] == ["1 red", "2 green"]
    assert (pair["images"], pair["confused"]) == ([3, 3], [1, 2])
    assert pair["share"] == pytest.approx(50)
    assert [one["index"] for one in pair["mistakes"]] == [2, 4, 5]
    assert [one["index"] for one in pair["references"]] == [0, 3]
    assert done.json["top1_interval"] == list(wilson_interval(done.json["top1"], 8))
    # Scripts get numbers; the file gets the pictures too.
    assert "data:image" not in done.out
    body: Any = read_result(out, Evaluation).to_dict()
    assert {key: body[key] for key in done.json} == done.json
    assert [one["index"] for one in body["pictures"]] == [0, 2, 3, 4, 5]
    assert [one["file"] for one in body["pictures"]] == [f"{n}.png" for n in (0, 2, 0, 1, 2)]
    for one, color in zip(body["pictures"], (0, 1, 1, 0, 0), strict=True):
        kind, _, text = one["picture"].partition(",")
        assert kind == "data:image/jpeg;base64"
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        assert image.size == (96, 72)
        assert np.abs(np.asarray(image)[30, 30].astype(int) - COLORS[color]).max() < 12


@pytest.mark.export
def test_people_read_the_pairs_and_the_interval(run_cli, mixed):
    bundle, data = mixed
    first, second = run_cli("eval", bundle, "--data", data).out.splitlines()
    low, high = wilson_interval(62.5, 8)
    assert first.endswith(f"; top-1's 95 % interval {low:.2f} to {high:.2f} %")
    assert second == (
        "confused: 1 red and 2 green, 50.0 % of their 6 images "
        "(1 of the first taken for the second, 2 the other way)"
    )


@pytest.mark.export
def test_the_report_shows_what_eval_wrote(run_cli, mixed, tmp_path):
    pytest.importorskip("jinja2")
    bundle, data = mixed
    out, page = tmp_path / "eval.json", tmp_path / "report.html"
    run_cli("eval", bundle, "--data", data, "--out", out)
    assert run_cli("report", out, "--out", page).code == 0
    html = page.read_text(encoding="utf-8")
    assert "Most confused pairs" in html
    assert html.count('<img src="data:image/jpeg;base64,') == 5


def test_full_is_for_cal_teachers(run_cli, tiny_run, photos, tmp_path):
    (tmp_path / "a.fgir").write_text("a bundle, as far as anyone has looked")
    for model, error in (
        (
            tiny_run,
            f"{tiny_run} is no CAL teacher; expected the run folder of a CAL teacher; "
            "leave out --full",
        ),
        (
            tmp_path / "a.fgir",
            f"{tmp_path / 'a.fgir'} is a bundle, in which it is fixed; expected a run folder; "
            "export another bundle with --full, or leave it out",
        ),
    ):
        done = run_cli("eval", model, "--data", photos, "--full")
        assert (done.code, done.out) == (2, "")
        assert done.err == f"error: --full: {error}\n"


def test_a_cal_teacher_is_offered_its_full_inference(run_cli, teacher_run, tiny_run, photos):
    done = run_cli("eval", teacher_run, "--data", photos)
    assert done.out.splitlines()[-1] == (
        f"{teacher_run} is a CAL teacher, measured with one forward; "
        "add --full for its full inference (8 forwards)"
    )
    assert "CAL" not in run_cli("eval", tiny_run, "--data", photos).out
    assert run_cli("eval", teacher_run, "--data", photos, "--json").json["cal_teacher"] is True


def test_full_inference_of_a_cal_teacher(run_cli, teacher_run, photos, monkeypatch):
    torch = pytest.importorskip("torch")
    from edge_fgir.models import full_inference

    answers = []

    def spy(model, images):
        assert not model.training
        assert images.shape[1:] == (3, 32, 32)
        answers.append(full_inference(model, images))
        return answers[-1]

    monkeypatch.setattr("edge_fgir.runs.predictor.full_inference", spy)
    done = run_cli("eval", teacher_run, "--data", photos, "--full", "--json")
    assert done.code == 0, done.err
    assert [len(logits) for logits in answers] == [32, 4]
    labels = torch.arange(3).repeat_interleave(12)
    right = torch.cat(answers).argmax(1) == labels
    assert done.json["top1"] == pytest.approx(100 * right.float().mean().item())
    assert done.json["engine"].endswith("eager CPU, 8 forwards")
    single = run_cli("eval", teacher_run, "--data", photos, "--json").json
    assert len(answers) == 2
    assert single["ece"] != done.json["ece"]
    assert "8 forwards" not in single["engine"]
    assert "add --full" not in run_cli("eval", teacher_run, "--data", photos, "--full").out


@pytest.mark.parametrize("device", ["cpu", "nonsense"])
def test_a_run_is_not_evaluated_on_a_device_of_bundles(run_cli, tmp_path, device):
    run = tmp_path / "run"
    run.mkdir()
    done = run_cli("eval", run, "--data", tmp_path, "--device", device)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: --device {device}: {run} is a run folder, which PyTorch evaluates; "
        "expected a bundle; leave --device out: a GPU is used where there is one\n"
    )
