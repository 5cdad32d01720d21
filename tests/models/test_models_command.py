import json
from pathlib import Path

import pytest
import yaml

from edge_fgir import InputError
from edge_fgir.cli import main
from edge_fgir.models import OWN_MODELS, Network, summarize

pytestmark = pytest.mark.unit

PAPER = {
    name: figures
    for file in ("lrnets.yaml", "vitfs.yaml")
    for name, figures in yaml.safe_load(
        (Path(__file__).parents[1] / "golden" / file).read_text()
    ).items()
    if name in ("lrnet14", "lrnet18", "lrnet26", "lrnet50") or name.startswith("vitfs")
}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_list_names_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "list").split() == list(OWN_MODELS)
    assert set(PAPER) <= set(OWN_MODELS)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("size", [128, 224, 448])
def test_show_knows_the_papers_models(
    capsys: pytest.CaptureFixture[str], name: str, size: int
) -> None:
    shown = json.loads(
        run(capsys, "show", name, "--num-classes", "200", "--image-size", str(size), "--json")
    )
    gmacs = PAPER[name]["gmacs"][size]
    assert shown["name"] == name
    assert shown["params"] == PAPER[name]["params"][200]
    assert shown["gmacs"] == pytest.approx(gmacs[1] if isinstance(gmacs, list) else gmacs, rel=0.01)
    tokens = (size // 16) ** 2 + 4
    blocks = [{"attention_tokens": tokens, "mlp_tokens": tokens}] * 12
    assert shown["blocks"] == (blocks if name.startswith("vitfs") else [])


def test_show_prints_what_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", "vitfs_tiny", "--num-classes", "200", "--image-size", "448")
    assert text.startswith("vitfs_tiny: 5,639,048 parameters, 7.496 GMACs at 448 px, 200 classes")
    assert "attention's matrix products; one multiply-add is one" in text
    assert "normalisation and activations are not counted" in text
    assert "block 11: 788 tokens, MLP 788" in text


def test_show_counts_a_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--attention-maps", "32", "--num-classes", "200", "--json")
    shown = json.loads(run(capsys, "show", "resnet101", *options))
    assert shown["params"] == pytest.approx(55.67e6, rel=0.01)


def test_a_size_that_a_model_does_not_take_is_one_line() -> None:
    model = Network(name="vit_tiny_patch16_224").build(5, 64, meta=True)
    with pytest.raises(InputError, match=r"vit_tiny_patch16_224 does not take 80 px"):
        summarize(model, "vit_tiny_patch16_224", 80, 5)


@pytest.mark.parametrize(
    ("name", "side"), [("levit_128s", 100), ("botnet26t_256", 40), ("inception_v3", 32)]
)
def test_a_side_that_a_teachers_backbone_does_not_take_is_one_line(
    capsys: pytest.CaptureFixture[str], name: str, side: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "show", name, "--attention-maps", "4", "--image-size", str(side)])
    assert ended.value.code == 2
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert f"does not take {side} px: " in shown[0]
    assert "expected another side, such as " in shown[0]


@pytest.mark.parametrize("name", ["convnext_atto", "mixer_s16_224", "swin_tiny_patch4_window7_224"])
def test_an_mlp_without_attention_before_it_is_no_block(name: str) -> None:
    summary = summarize(Network(name=name).build(5, meta=True), name, 224, 5)
    assert summary.blocks == []
    assert summary.gmacs > 0


@pytest.mark.parametrize(
    ("name", "side"),
    [("lrnet14", 128), ("vitfs_tiny", 224), ("crossvit_tiny_240", 240), ("resnet18.a1_in1k", 224)],
)
def test_a_network_is_shown_at_its_own_size(
    capsys: pytest.CaptureFixture[str], name: str, side: int
) -> None:
    assert f"GMACs at {side} px" in run(capsys, "show", name)
