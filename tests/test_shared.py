"""What tests share is made once, and is what each of them would have made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shared import Shared, remembered_exports

pytestmark = pytest.mark.unit


def test_a_folder_is_filled_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def fill(path: Path) -> None:
        calls.append(path)
        path.mkdir()

    one, other = (Shared(tmp_path / "shared").folder("a", fill) for _ in range(2))
    assert one == other == calls[0]
    assert len(calls) == 1


def test_what_failed_is_tried_again_from_nothing(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "shared")

    def fails(path: Path) -> None:
        path.mkdir()
        (path / "half").touch()
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        shared.folder("a", fails)
    assert not list(shared.folder("a", Path.mkdir).iterdir())


def test_a_network_is_traced_anew_where_anything_of_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch, onnx = pytest.importorskip("torch"), pytest.importorskip("onnx")
    traced: list[Any] = []

    class Program:
        model_proto = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))

    def export(model: Any, inputs: Any, **options: Any) -> Program:
        traced.append(model)
        return Program()

    monkeypatch.setattr(torch.onnx, "export", export)

    def network() -> Any:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GELU())

    another_weight, another_attribute, hooked = network(), network(), network()
    with torch.no_grad():
        another_weight[0].bias[0] += 1e-3
    another_attribute[1].approximate = "tanh"
    hooked.register_forward_hook(lambda *_: None)  # cannot be compared
    image = (torch.zeros(1, 3, 8, 8),)
    with remembered_exports(Shared(tmp_path / "shared").folder):
        for model in (network(), network(), another_weight, another_attribute, hooked, hooked):
            torch.onnx.export(model, image, dynamo=True, opset_version=18)
        torch.onnx.export(network(), image, dynamo=True, opset_version=19)
    assert len(traced) == 6
