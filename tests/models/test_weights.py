from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edge_fgir import InputError
from edge_fgir.models import LITE0, create_model

pytestmark = pytest.mark.unit


def test_offline_imagenet_weights_are_real() -> None:
    """Trained features separate photographs far better than random ones do: here, they classify.

    The 1,000-class head of the package must give a peaked, input-dependent answer.
    """
    model = create_model("tf_efficientnet_lite0", 1000, weights=LITE0).eval()
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


def test_head_of_another_size_keeps_its_initial_values(tmp_path: Path) -> None:
    source = create_model("lrnet14", 10)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = create_model("lrnet14", 3, weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(model.stem[0].weight, source.stem[0].weight)
    assert model.head.weight.shape[0] == 3


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save_file(create_model("lrnet18", 10).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="do not fit"):
        create_model("lrnet14", 10, weights=str(tmp_path / "w.safetensors"))


def test_a_missing_file_and_an_unknown_model_are_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.safetensors does not exist"):
        create_model("lrnet14", 10, weights="nowhere.safetensors")
    with pytest.raises(InputError, match=r"unknown model 'lrnet15'.*lrnet14"):
        create_model("lrnet15", 10)
