"""What cannot be imported is refused in one line, and leaves nothing behind."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from authors import CLASSES, Maker, State
from authors_cnn import make_residual, make_vitfs
from authors_vit import make_clca, make_glsim, make_ila
from safetensors.torch import save_file

from edge_fgir import InputError
from edge_fgir.importing import KINDS, import_checkpoint
from edge_fgir.runs import Run

pytestmark = pytest.mark.unit


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"class {i}\n" for i in range(CLASSES)))
    return path


@pytest.fixture
def imported(tmp_path: Path, labels: Path) -> Callable[..., Run]:
    """Return a function that imports what it is given as a checkpoint's content."""

    def make(content: Any, kind: str, *changes: str) -> Run:
        torch.save(content, tmp_path / "last.pth")
        return import_checkpoint(tmp_path / "last.pth", kind, labels, tmp_path / "run", changes)

    return make


def lrnet() -> State:
    maker = Maker()
    channels = make_residual(maker, "", (1, 2, 1, 1, 1), bottleneck=False)
    maker.linear("head.head", CLASSES, channels)
    return maker.state


def one_class() -> State:
    return {k: v[:1] if k.startswith("head.head") else v for k, v in lrnet().items()}


def timm_named() -> State:
    """Of no backbone that its tensors tell."""
    maker = Maker()
    maker.linear("head.head", CLASSES, 8)
    return maker.state


def small(kind: str) -> State:
    maker = Maker()
    if kind == "tgda":
        make_vitfs(maker, "", 64, 2)
        maker.linear("head.head", CLASSES, 64)
    elif kind == "clca":
        make_clca(maker, "evit", 64, 5, 2, 3, 0.5)
    elif kind == "glsim":
        make_glsim(maker, 64, 2, 4)
    else:
        make_ila(maker, 64, 4, 6, (0, 1), "ila")
    return maker.state


def settings(kind: str) -> list[str]:
    return {
        "clca": ["model=evit_x", "keep_rate=0.5", "reduction_loc=[1,2,3]"],
        "ila": ["ila_ds_locs=[0,1]"],
    }.get(kind, [])


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_wrong_tensors_are_named_as_the_authors_name_them(
    imported: Callable[..., Run], tmp_path: Path, kind: str
) -> None:
    state = small(kind)
    gone = {
        "tgda": "blocks.3.mlp.fc1.bias",
        "clca": "blocks.1.mlp.fc1.bias",
        "glsim": "encoder.blocks.1.pwff.fc1.bias",
        "ila": "encoder.ila_ds.1.adapter_conv.0.bias",
    }[kind]
    cut = gone.replace("bias", "weight")
    del state[gone]
    state["surprise.weight"] = torch.zeros(3)
    state[cut] = state[cut][:-1]
    with pytest.raises(InputError) as refused:
        imported(state, kind, *settings(kind))
    (line,) = str(refused.value).splitlines()
    assert f"{gone} " in line
    assert "is missing" in line
    assert "surprise.weight 3 is not of it" in line
    assert f"{cut} has shape" in line
    assert not (tmp_path / "run").exists()


def test_a_part_of_a_joined_tensor_is_missed(imported: Callable[..., Run]) -> None:
    state = small("glsim")
    del state["encoder.blocks.0.attn.proj_k.weight"]
    with pytest.raises(InputError, match=r"encoder\.blocks\.0\.attn\.proj_q\.weight has shape"):
        imported(state, "glsim")


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("owned"),))


def test_code_in_a_file_is_not_run(
    imported: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="code is never run from a file") as refused:
        imported({"model": lrnet(), "config": Malicious()}, "tgda")
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        lambda state: {
            "optimizer": {"state": {0: torch.zeros(3)}},
            "model_ema": {k: torch.zeros_like(v) for k, v in state.items()},
            "model": {f"module.model.{k}": v for k, v in state.items()},
            "accuracy": 87.5,
        },
        lambda state: {
            "model": {k: v.half() for k, v in state.items()},
            "config": argparse.Namespace(image_size=64),
        },
    ],
    ids=["bare", "state_dict", "everything", "float16"],
)
def test_what_is_wrapped_around_weights(imported: Callable[..., Run], wrap: Callable) -> None:
    state = lrnet()
    run = imported(wrap(state), "tgda", "image_size=64")
    model = run.load()
    torch.testing.assert_close(model.head.weight, state["head.head.weight"], atol=1e-3, rtol=1e-2)
    assert model.head.weight.dtype == torch.float32


def test_a_safetensors_file_and_its_provenance(tmp_path: Path, labels: Path) -> None:
    path = tmp_path / "student.safetensors"
    save_file(lrnet(), path)
    run = import_checkpoint(path, "tgda", labels, tmp_path / "run", ["image_size=448"])
    origin = Run.open(run.path).trained_as.imported
    assert origin is not None
    assert (origin.kind, origin.file, len(origin.sha256)) == ("tgda", "student.safetensors", 64)
    pictures = run.description.preprocess
    assert (pictures.size, round(pictures.size / pictures.crop_fraction)) == (448, 600)
    assert (pictures.kernel, pictures.view_size) == ("bicubic", None)
    with pytest.raises(InputError, match=r"imported from student\.safetensors"):
        _ = run.recipe


def test_a_student_of_fewer_pixels_samples_its_teachers(imported: Callable[..., Run]) -> None:
    settings = ("image_size=448", "student_image_size=128")
    pictures = imported(lrnet(), "tgda", *settings).description.preprocess
    assert (pictures.size, pictures.view_size) == (128, 448)
    assert round(pictures.first_step.size / pictures.crop_fraction) == 600


@pytest.mark.parametrize(
    ("content", "kind", "changes", "said"),
    [
        (lrnet, "tgda", [], "does not say its image_size"),
        (lrnet, "tgda", ["image_sise=64"], "name=value, with a name of"),
        (lrnet, "tgda", ["image_size=huge"], "image_size: Input should be a valid integer"),
        (lrnet, "glsim", [], r"has no patch_embed\.proj\.weight"),
        (lrnet, "ila", [], r"has no encoder\.ila_ds\.0\.adapter_down\.weight"),
        (lambda: {"epoch": 3}, "tgda", [], "holds no named tensors"),
        (lambda: [1, 2], "tgda", [], "holds a list"),
        (lambda: small("clca"), "clca", ["keep_rate=0.5"], "does not say how tokens are reduced"),
        (lambda: small("clca"), "clca", ["model=evit_x"], "does not say its keep_rate"),
        (lambda: small("ila"), "ila", [], "0, 1|no block|down-sampl|behind block"),
        (lambda: small("glsim"), "glsim", ["test_flip=true"], "anchor_random and test_flip off"),
        (
            lrnet,
            "tgda",
            ["image_size=64", "test_square_resize_center_crop=false"],
            "padded or enlarged",
        ),
        (lrnet, "tgda", ["image_size=448", "test_resize_size=224"], "224 px before a crop of 448"),
        (lrnet, "tgda", ["image_size=64", "resize_size=256"], "fewer than 256"),
        (timm_named, "tgda", ["image_size=64", "model_name=nothing.here"], "unknown model"),
        (timm_named, "tgda", ["image_size=64", "model_name=resnet26.no_tag"], "weights tag"),
        (lambda: one_class(), "tgda", ["image_size=64"], "tells 1 class"),
        (lambda: small("glsim"), "glsim", ["image_size=999"], "with pictures of 999 px"),
        (
            lambda: small("clca"),
            "clca",
            ["model=evit_x", "keep_rate=0.5", "input_size=999"],
            "with pictures of 999 px",
        ),
    ],
)
def test_one_line_says_what_to_do(
    imported: Callable[..., Run], content: Callable, kind: str, changes: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        imported(content(), kind, *changes)
    assert len(str(refused.value).splitlines()) == 1


def test_labels_must_be_as_many_as_outputs(
    imported: Callable[..., Run], labels: Path, tmp_path: Path
) -> None:
    for text, said in (
        ("a\nb\n", "has 2 labels; expected 3"),
        ("a\na\n", "twice"),
        ("a\n\nb", "2"),
    ):
        labels.write_text(text)
        with pytest.raises(InputError, match=said):
            imported(lrnet(), "tgda", "image_size=64")
    labels.write_text("1\n2\n3\n")
    imported(lrnet(), "tgda", "image_size=64")
    with pytest.raises(InputError, match="exists; expected a new folder"):
        imported(lrnet(), "tgda", "image_size=64")


def test_a_damaged_file(tmp_path: Path, labels: Path) -> None:
    torch.save({"model": lrnet()}, tmp_path / "last.pth")
    content = (tmp_path / "last.pth").read_bytes()
    (tmp_path / "last.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        import_checkpoint(tmp_path / "last.pth", "tgda", labels, tmp_path / "run")
    with pytest.raises(InputError, match="does not exist"):
        import_checkpoint(tmp_path / "nowhere.pth", "tgda", labels, tmp_path / "run")


def test_an_ila_run_serves_another_size(imported: Callable[..., Run]) -> None:
    from edge_fgir.models import Setting

    run = imported(small("ila"), "ila", *settings("ila"))
    with torch.inference_mode():
        answer = run.at(Setting(128)).load()(torch.zeros(1, 3, 128, 128))
    assert answer.shape == (1, CLASSES)
