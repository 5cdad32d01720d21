"""Fixtures that several rooms' tests use."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from jetson import cuda, pretended, rtx  # noqa: F401
from runs import make_folder, photos, teacher_run, tiny_export, tiny_run, vit_run  # noqa: F401
from shared import Shared, remembered_exports, shared  # noqa: F401
from signal_stack import signal_stack  # noqa: F401

from edge_fgir._cache import cache_path
from edge_fgir._errors import InputError

# Every test process has one core: what could be built side by side is built here and now.
os.environ["LOKY_MAX_CPU_COUNT"] = "1"

# The same examples on every machine, and no clock: a busy machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
# For a long look: pytest --hypothesis-profile search
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Fail every test that looks up or connects to another machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_here(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _only_our_names(socket.getaddrinfo))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands remember of pictures out of the user's cache folder.

    Packages of npm, which are pinned, are the user's: no test may fetch them.
    """
    cache = tmp_path_factory.mktemp("cache")
    with suppress(InputError):  # of a user without a home, as in a container
        packages = cache_path() / "npm"
        if packages.is_dir():
            (cache / "edge-fgir").mkdir(mode=0o700)
            (cache / "edge-fgir" / "npm").symlink_to(packages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield


def _only_here(method: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_unless_loopback(address[0])
        return method(self, address)

    return connect


def _only_our_names(function: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is not None:
            _refuse_unless_loopback(host)
        return function(host, *arguments, **options)

    return getaddrinfo


def _refuse_unless_loopback(host: str | bytes) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        here = name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        here = False
    if not here:
        # No exception that a library could catch and swallow.
        pytest.fail(f"the network was used: {name}")


@pytest.fixture(scope="session", autouse=True)
def quick_exports(shared: Shared) -> Iterator[None]:  # noqa: F811
    """Trace equal networks once a session and time INT8 schemes briefly, where torch is used."""
    if not {"torch", "onnx"} <= sys.modules.keys():
        yield
        return
    from edge_fgir.benchmarking import Protocol, WarmUp
    from edge_fgir.exporting import search

    brief = Protocol(runs=60, seconds=0.1, warm_up=WarmUp(least_s=0, most_s=0.2))
    with remembered_exports(shared.folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_PROTOCOL", brief)
        yield


TRAINED = {"tiny_run", "teacher_run", "vit_run", "tiny_export"}
"""Fixtures that cost a training where no test before has asked for them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a trained run as slow, before any are chosen by mark."""
    for item in items:
        if TRAINED & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as one JSON value."""
        return json.loads(self.out)


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs ``edge-fgir`` with the given arguments in this process."""
    from edge_fgir.cli import main

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Done(ended.value.code or 0, out, err)

    return run


@pytest.fixture
def quick_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``bench`` warm up for a moment and take 100 runs instead of 1000."""
    from edge_fgir.benchmarking import Protocol, WarmUp, bundle_bench

    quick = Protocol(runs=100, warm_up=WarmUp(least_s=0, most_s=0.05))
    monkeypatch.setattr(bundle_bench, "PROTOCOLS", dict.fromkeys(bundle_bench.PROTOCOLS, quick))


@pytest.fixture(scope="session")
def tiny_bundle(shared: Shared) -> Path:  # noqa: F811
    """A sealed OpenVINO bundle that tells red, green and blue apart; copy it to change it."""
    return _bundle(shared, "openvino")


@pytest.fixture(scope="session")
def arm_bundle(shared: Shared) -> Path:  # noqa: F811
    """The same for ONNX Runtime."""
    pytest.importorskip("onnx")
    return _bundle(shared, "arm")


@pytest.fixture(scope="session")
def litert_bundle(shared: Shared) -> Path:  # noqa: F811
    """The same for LiteRT."""
    return _bundle(shared, "litert")


@pytest.fixture(scope="session")
def jetson_bundle(shared: Shared) -> Path:  # noqa: F811
    """The same for TensorRT."""
    pytest.importorskip("onnx")
    return _bundle(shared, "jetson")


def _bundle(shared: Shared, target: str) -> Path:  # noqa: F811
    from bundles import make_bundle, needs_runtime

    needs_runtime(target)
    return shared.folder(f"{target}.fgir", lambda path: make_bundle(path, target=target))


@pytest.fixture(scope="session")
def elpv_photos() -> list[Path]:
    """Twelve real photographs of solar cells (300 x 300 grey PNG; CC BY-NC-SA 4.0)."""
    elpv = pytest.importorskip("elpv_dataset")
    folder = Path(elpv.__file__).parent / "data" / "images"
    return sorted(folder.glob("*.png"))[:240:20]
