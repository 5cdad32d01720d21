import inspect
import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from edge_fgir import InputError
from edge_fgir.models import OWN_MODELS, LRNet, Network, ViTFS
from edge_fgir.models.glsim import GLSimOptions
from edge_fgir.models.ila import Adapters
from edge_fgir.models.reduction import Reduction
from edge_fgir.runs import TrainedModel

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parents[1] / "golden"


def test_our_models_are_timms_too() -> None:
    assert set(OWN_MODELS) <= set(timm.list_models())
    assert isinstance(Network(name="lrnet101").build(5, meta=True), LRNet)
    assert isinstance(Network(name="vitfs_base_ln").build(5, meta=True), ViTFS)


def test_options_reach_the_architecture() -> None:
    model = Network(name="vitfs_nano", options={"token_select": "first_s", "registers": 2}).build(5)
    assert (model.token_select, model.registers.shape[1]) == ("first_s", 2)


def test_an_option_of_another_architecture_is_named() -> None:
    with pytest.raises(InputError, match=r"lrnet14 does not take these options.*token_select"):
        Network(name="lrnet14", options={"token_select": "first_s"}).build(5)


def test_image_size_is_for_models_of_a_fixed_size() -> None:
    vit = Network(name="vit_tiny_patch16_224").build(5, 64, meta=True)
    assert vit.patch_embed.grid_size == (4, 4)
    assert Network(name="vitfs_nano").build(5, 64, meta=True).grid == (4, 4)
    assert Network(name="resnet18").build(5, 64, meta=True).num_classes == 5


def test_tags_choose_weights_and_unknown_ones_are_refused() -> None:
    model = Network(name="resnet18.tv_in1k").build(5, meta=True)
    assert model.pretrained_cfg["tag"] == "tv_in1k"
    with pytest.raises(InputError, match=r"unknown weights tag in 'resnet18.x'.*18.tv_in1k"):
        Network(name="resnet18.x").build(5)


def test_no_network_is_one_line_that_names_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        Network(name="test_resnet", weights="timm").build(5)
    assert "could not fetch the weights of test_resnet" in str(caught.value)
    assert "give the path of the file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked_again(*_: object, **__: object) -> None:
        pytest.fail("timm asks for each file, six times")

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(timm, "create_model", asked_again)
    with pytest.raises(InputError, match=r"could not fetch the weights of test_resnet .*Connect"):
        Network(name="test_resnet", weights="timm").build(5)


def test_weights_that_were_fetched_before_need_no_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = timm.get_pretrained_cfg("resnet18.tv_in1k").hf_hub_id
    source = timm.create_model("resnet18.tv_in1k")
    kept = tmp_path / f"models--{repository.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    (kept / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(source.state_dict(), kept / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model = Network(name="resnet18.tv_in1k", weights="timm").build(5)
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


def test_weights_that_timm_downloads_fill_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain and in a teacher, with a fresh classifier: the download itself is timm's."""
    monkeypatch.setattr("edge_fgir.models.backbone.check_hub", lambda name: None)
    source = timm.create_model("resnet18.tv_in1k")
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *_, **__: source.state_dict()
    )
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_url", lambda *_, **__: source.state_dict()
    )
    plain = Network(name="resnet18.tv_in1k", weights="timm").build(5)
    teacher = Network(name="resnet18.tv_in1k", attention_maps=2, weights="timm").build(5)
    for model in (plain, teacher.backbone):
        assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert plain.fc.out_features == 5


def test_models_without_weights_at_timm_say_so() -> None:
    with pytest.raises(InputError, match=r"timm has no weights for lrnet14; .*weights random"):
        Network(name="lrnet14", weights="timm").build(5)


@pytest.mark.parametrize(
    "option", ["checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "device"]
)
def test_arguments_of_timms_builder_are_no_options(option: str, tmp_path: Path) -> None:
    """A pickle named by a recipe or a run would run what is in it."""
    values = {"name": "lrnet14", "options": {option: str(tmp_path / "evil.pth")}}
    with pytest.raises(InputError) as caught:
        Network.model_validate(values)
    assert str(caught.value) == (
        f"model option {option} of lrnet14 is an argument of timm's builder; expected options of "
        "the architecture alone; name a file of weights as model.weights"
    )


def test_every_argument_of_timms_builder_is_refused() -> None:
    for function in (timm.create_model, timm.models.build_model_with_cfg):
        for option in inspect.signature(function).parameters:
            if option != "kwargs":
                with pytest.raises(InputError, match=f"model option {option} of"):
                    Network(name="resnet18", options={option: True})


def test_a_network_is_known_by_what_it_computes() -> None:
    plain = Network(name="vit_tiny_patch16_224")
    others = [
        Network(name="vit_small_patch16_224"),
        Network(name="vit_tiny_patch16_224", options={"depth": 4}),
        Network(name="vit_tiny_patch16_224", attention_maps=4),
        Network(name="vit_tiny_patch16_224", reduction=Reduction(keep_rate=0.5)),
        Network(name="vit_tiny_patch16_224", glsim=GLSimOptions()),
        *(
            Network(name="vit_tiny_patch16_224", adapters=Adapters(variant=variant))
            for variant in ("none", "ila", "ila+", "ila++")
        ),
    ]
    keys = {network.key(5, 224) for network in (plain, *others)}
    assert len({*keys, plain.key(6, 224), plain.key(5, 192), plain.key(5)}) == len(others) + 4
    trained_otherwise = plain.model_copy(update={"weights": "timm", "drop_path": 0.1})
    assert trained_otherwise.key(5, 224) == plain.key(5, 224)


def test_a_run_of_the_earlier_form_is_read() -> None:
    """Its ``model.json`` had the network's keys beside its own."""
    flat = json.loads((GOLDEN / "model-flat.json").read_text())
    trained = TrainedModel.model_validate(flat)
    assert trained.network == Network(
        name="vit_tiny_patch16_224",
        options={"depth": 3, "embed_dim": 48},
        reduction=Reduction(method="evit", keep_rate=0.5, blocks=(1,), cla=True),
    )
    assert (trained.preprocess.size, trained.train_counts) == (32, (4, 5, 6))
    assert trained.build(meta=True).num_classes == 3
    again = TrainedModel.model_validate_json(trained.model_dump_json())
    assert again == trained
    with pytest.raises(ValidationError, match="colour"):
        TrainedModel.model_validate({**flat, "colour": "red"})
