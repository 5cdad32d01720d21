"""A Jetson that is not there: CUDA in host memory, and modules that stand in for TensorRT."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

STAND_INS = Path(__file__).parent / "stand_ins"


class FakeCuda:
    """Device memory that is host memory, and a list of what was asked for in which order."""

    calls: ClassVar[list[str]] = []
    memory: ClassVar[dict[int, ctypes.Array]] = {}

    def driver_version(self) -> int:
        return 12_060

    def gpu(self) -> str:
        return "sm_87 with 8 multiprocessors"

    def allocate(self, size: int) -> int:
        buffer = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, address: int) -> None:
        del self.memory[address]

    def create_stream(self) -> int:
        return 7

    def to_device(self, target: int, source: int, size: int, stream: int) -> None:
        assert size == len(self.memory[target])
        self._move("to_device", target, source, size, stream)

    def to_host(self, target: int, source: int, size: int, stream: int) -> None:
        assert size == len(self.memory[source])
        self._move("to_host", target, source, size, stream)

    def _move(self, name: str, target: int, source: int, size: int, stream: int) -> None:
        assert stream == 7
        ctypes.memmove(target, source, size)
        self.calls.append(name)

    def synchronize(self, stream: int) -> None:
        self.calls.append("synchronize")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeCuda]:
    """CUDA in host memory, and an engine cache of the test's own."""
    from edge_fgir.runtime.runtimes.tensorrt import cuda

    monkeypatch.setattr(cuda, "Cuda", FakeCuda)
    monkeypatch.setattr(FakeCuda, "calls", [])
    monkeypatch.setattr(FakeCuda, "memory", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return FakeCuda


class Pretended:
    """The TensorRT of ``stand_ins/pretended``, and what it was asked to build."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
        self._monkeypatch, self._log = monkeypatch, log
        self(log=str(log))

    def __call__(self, **facts: str) -> None:
        """Let it have another ``version``, or builds another ``end``."""
        for name, value in facts.items():
            self._monkeypatch.setenv(f"PRETENDED_{name.upper()}", value)
        _forget()

    @property
    def builds(self) -> list[dict[str, Any]]:
        """A dictionary for every build."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @property
    def started(self) -> bool:
        """Whether a build has begun."""
        return self._log.exists()


@pytest.fixture
def pretended(
    cuda: type[FakeCuda], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Pretended]:
    """TensorRT that pretends to build."""
    monkeypatch.syspath_prepend(STAND_INS / "pretended")
    yield Pretended(monkeypatch, tmp_path / "builds")
    _forget()


@pytest.fixture
def rtx(cuda: type[FakeCuda], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """TensorRT-RTX as TensorRT: it really builds."""
    pytest.importorskip(
        "tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed", exc_type=ImportError
    )
    monkeypatch.syspath_prepend(STAND_INS / "rtx")
    _forget()
    yield
    _forget()


def _forget() -> None:
    """Let the next import find the module anew: monkeypatch would bring the stand-in back."""
    sys.modules.pop("tensorrt", None)
