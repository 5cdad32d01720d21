"""Where built engines are kept: plans with a record beside each, and the builder's timings.

Loading a plan runs native code from it. So the folder is its owner's alone, and a plan is handed
out only if its record says that it was built for this very key and its hash is the recorded one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_fgir._cache import own_cache
from edge_fgir._files import alone, sha256, to_json, write_atomic, write_json
from edge_fgir.runtime.runtimes.tensorrt.build import Timings

_SCHEMA = "edge-fgir/engine/1"


@dataclass(frozen=True)
class EngineKey:
    """What an engine depends on. It is never loaded where one of these differs.

    Attributes:
        graph: SHA-256 of the ONNX file.
        gpu: Board and GPU.
        tensorrt: Version.
        driver: CUDA version of the driver, and its own.
    """

    graph: str
    gpu: str
    tensorrt: str
    driver: str

    @property
    def name(self) -> str:
        """Stem of the engine's files."""
        return sha256(to_json({"schema": _SCHEMA, **asdict(self)}).encode())[:32]


class UnusableError(Exception):
    """An engine in the cache must not be loaded, but built again; the text says why."""


class EngineCache:
    """The user's engines: ``$XDG_CACHE_HOME/edge-fgir``, by default ``~/.cache/edge-fgir``.

    Raises:
        InputError: Others can write to the folder, or there is no home to put it in.
    """

    def __init__(self) -> None:
        self.folder = own_cache()

    def path(self, key: EngineKey) -> Path:
        """Return where the plan for ``key`` lies, or will."""
        return self.folder / f"{key.name}.plan"

    @contextmanager
    def building(self) -> Iterator[None]:
        """Let one process build at a time: two would share memory, and spoil each other's timings.

        It waits for the other.
        """
        with alone(self.folder / "build.lock"):
            yield

    def load(self, key: EngineKey) -> bytes | None:
        """Return the plan for ``key``, or None if there is none.

        Raises:
            UnusableError: It was built for something else, or is not what was written.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            record = json.loads(path.with_suffix(".json").read_bytes())
            plan, built_for, digest = path.read_bytes(), record["key"], record["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnusableError("has no readable record") from error
        for name, expected in asdict(key).items():
            if (found := built_for.get(name)) != expected:
                raise UnusableError(f"was built for {name} {found}, this is {expected}")
        if sha256(plan) != digest:
            raise UnusableError("is damaged")
        return plan

    def store(self, key: EngineKey, plan: bytes) -> None:
        """Keep ``plan``. Interrupted between its two files, it is unusable, not wrong."""
        path = self.path(key)
        write_atomic(path, plan)
        record = {"schema": _SCHEMA, "key": asdict(key), "bytes": len(plan), "sha256": sha256(plan)}
        write_json(path.with_suffix(".json"), record)

    def load_timings(self) -> Timings:
        """Return the timings of earlier builds; none if there are none, or they are damaged."""
        try:
            digest, data = self._timings.read_bytes().split(b"\n", 1)
        except (OSError, ValueError):
            return Timings()
        return Timings(data if digest == sha256(data).encode() else b"")

    def store_timings(self, timings: Timings) -> None:
        """Keep ``timings``, with their hash: TensorRT is not to be trusted with damaged ones."""
        digest = sha256(timings.data).encode()
        write_atomic(self._timings, digest + b"\n" + timings.data)

    @property
    def _timings(self) -> Path:
        return self.folder / "timing.cache"
