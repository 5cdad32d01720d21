"""What pydantic refuses reaches the user as one line, whatever file it stood in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from edge_fgir import InputError, _resources
from edge_fgir._refusal import validated
from edge_fgir.benchmarking import devices

pytestmark = pytest.mark.unit


class Lens(BaseModel):
    model_config = ConfigDict(extra="forbid")

    aperture: float = Field(gt=0)


class Camera(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    lens: Lens | None = None
    spare: list[Lens] = []


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            {"name": "a", "lens": {"aperture": 0}},
            ("a camera",),
            "camera: lens.aperture: Input should be greater than 0; expected a camera",
        ),
        (
            {"name": "a", "spare": [{"aperture": -1}]},
            ("a camera", "mend it"),
            "camera: spare.0.aperture: Input should be greater than 0; expected a camera; mend it",
        ),
        ({"nam": "a"}, ("a camera",), "camera: name: Field required; expected a camera"),
        (
            {"name": "a", "lenz": 1},
            ("a camera",),
            "camera has an unknown key lenz; expected lens; correct",
        ),
        (
            {"name": "a", "spare": [{"aperture": 1, "apature": 2}]},
            ("a camera", "mend it"),
            "camera has an unknown key spare.0.apature; expected aperture; mend it",
        ),
        (b"{", ("a camera",), "camera: text: Invalid JSON: EOF while parsing"),
        (b"[]", ("a camera",), "camera: text: Input should be an object; expected a camera"),
    ],
)
def test_a_broken_rule_is_one_line(
    values: bytes | dict[str, Any], options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        validated(Camera, values, "camera", *options)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The shipped data, as a copy that a user edits."""
    for kind in ("devices", "export"):
        shutil.copytree(_resources.folder(kind), tmp_path / kind)
    monkeypatch.setattr(_resources, "folder", lambda kind: tmp_path / kind)
    devices.read_device.cache_clear()
    yield tmp_path
    devices.read_device.cache_clear()


def test_a_wrong_target_is_one_line(edited: Path) -> None:
    pytest.importorskip("torch")
    from edge_fgir.exporting import read_target

    path = edited / "export" / "openvino" / "target.yaml"
    text = path.read_text()
    path.write_text(f"{text}\nopsett: 17\n")
    with pytest.raises(InputError) as caught:
        read_target("openvino")
    assert str(caught.value).startswith(f"{path} has an unknown key opsett; expected ")
    path.write_text("about: nothing else\n")
    with pytest.raises(InputError, match=r"target\.yaml: \w+: Field required; expected a target"):
        read_target("openvino")


def test_a_wrong_device_is_one_line(edited: Path) -> None:
    name = devices.device_names()[0]
    path = edited / "devices" / f"{name}.yaml"
    path.write_text(f"{path.read_text()}\nnmae: Board\n")
    with pytest.raises(InputError) as caught:
        devices.read_device(name)
    assert str(caught.value).startswith(f"{path} has an unknown key nmae; expected name")
