import huggingface_hub.constants
import pytest
import timm
import torch

from edge_fgir import InputError
from edge_fgir.models import OWN_MODELS, LRNet, ViTFS, create_model

pytestmark = pytest.mark.unit


def test_our_models_are_timms_too() -> None:
    assert set(OWN_MODELS) <= set(timm.list_models())
    assert isinstance(create_model("lrnet101", 5, meta=True), LRNet)
    assert isinstance(create_model("vitfs_base_ln", 5, meta=True), ViTFS)


def test_options_reach_the_architecture() -> None:
    model = create_model("vitfs_nano", 5, options={"token_select": "first_s", "registers": 2})
    assert (model.token_select, model.registers.shape[1]) == ("first_s", 2)


def test_an_option_of_another_architecture_is_named() -> None:
    with pytest.raises(InputError, match=r"lrnet14 does not take these options.*token_select"):
        create_model("lrnet14", 5, options={"token_select": "first_s"})


def test_image_size_is_for_models_of_a_fixed_size() -> None:
    vit = create_model("vit_tiny_patch16_224", 5, image_size=64, meta=True)
    assert vit.patch_embed.grid_size == (4, 4)
    assert create_model("vitfs_nano", 5, image_size=64, meta=True).grid == (4, 4)
    assert create_model("resnet18", 5, image_size=64, meta=True).num_classes == 5


def test_tags_choose_weights_and_unknown_ones_are_refused() -> None:
    model = create_model("resnet18.tv_in1k", 5, meta=True)
    assert model.pretrained_cfg["tag"] == "tv_in1k"
    with pytest.raises(InputError, match=r"unknown weights tag in 'resnet18.x'.*18.tv_in1k"):
        create_model("resnet18.x", 5)


def test_no_network_is_one_line_that_names_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        create_model("test_resnet", 5, weights="timm")
    assert "could not fetch the weights of test_resnet" in str(caught.value)
    assert "give the path of the file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_timm_downloads_fill_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain and in a teacher, with a fresh classifier: the download itself is timm's."""
    source = timm.create_model("resnet18.tv_in1k")
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_hf", lambda *_, **__: source.state_dict()
    )
    monkeypatch.setattr(
        "timm.models._builder.load_state_dict_from_url", lambda *_, **__: source.state_dict()
    )
    plain = create_model("resnet18.tv_in1k", 5, weights="timm")
    teacher = create_model("resnet18.tv_in1k", 5, attention_maps=2, weights="timm")
    for model in (plain, teacher.backbone):
        assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert plain.fc.out_features == 5


def test_models_without_weights_at_timm_say_so() -> None:
    with pytest.raises(InputError, match=r"timm has no weights for lrnet14; .*weights random"):
        create_model("lrnet14", 5, weights="timm")
