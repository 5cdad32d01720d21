"""What is made once a session: whichever test process needs it first makes it, the others read it.

pytest's session fixtures are made once a process. What takes seconds to train or to export lies in
a folder that all processes of a session share; a test that changes it copies it first.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


class Shared:
    """Folders by name that are filled once a session."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(exist_ok=True)

    def folder(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Return the folder ``name``; ``fill`` gets its path and makes it, the first time."""
        path, done = self._root / name, self._root / f"{name}.done"
        with _alone(self._root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # what a failed attempt has left
                fill(path)
                done.touch()
        return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The session's shared folders."""
    base = tmp_path_factory.getbasetemp()
    # A process of pytest-xdist has a folder of its own inside the session's.
    return Shared((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared")


@contextmanager
def remembered_exports(folder: Callable[[str, Callable[[Path], object]], Path]) -> Iterator[None]:
    """Let torch write an equal network as ONNX, and LiteRT convert it, once a session.

    Tracing takes seconds even of a network that answers in a millisecond. Networks are equal if
    their classes, attributes and weights are; what cannot be compared is always traced.
    """
    import onnx
    import torch

    from edge_fgir.exporting import tflite

    original, to_tflite = torch.onnx.export, tflite.to_tflite

    def convert(network: torch.nn.Module, size: int) -> bytes:
        key = _key((network, size))
        if key is None:
            return to_tflite(network, size)
        path = folder(f"{key}.tflite", lambda path: path.write_bytes(to_tflite(network, size)))
        return path.read_bytes()

    def export(model: torch.nn.Module, inputs: tuple[Any, ...], *rest: Any, **options: Any) -> Any:
        key = _key((model, inputs, options)) if options.get("dynamo") and not rest else None
        if key is None:
            return original(model, inputs, *rest, **options)

        def fill(path: Path) -> None:
            path.mkdir()
            onnx.save(original(model, inputs, **options).model_proto, path / "model.onnx")

        return SimpleNamespace(model_proto=onnx.load(folder(f"graph-{key}", fill) / "model.onnx"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", export)
        patch.setattr("edge_fgir.exporting.backends.litert.to_tflite", convert)
        yield


def _key(values: object) -> str | None:
    """Return a hash of values that may hold tensors; None if something cannot be pickled."""
    import torch

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            if isinstance(value, torch.Tensor):
                pixels = value.detach().cpu().contiguous().numpy().tobytes()
                return str(value.dtype), tuple(value.shape), hashlib.sha256(pixels).hexdigest()
            return None

    file = io.BytesIO()
    try:
        Pickler(file).dump(values)
    except (pickle.PicklingError, AttributeError, TypeError, RuntimeError):
        return None
    return hashlib.sha256(file.getvalue()).hexdigest()[:32]
