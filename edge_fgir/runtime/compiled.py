"""Compiled models: shared inside a process, and kept between processes.

A compiled model is kept under all that it depends on: the hashes of the bundle's model files (which
are compared with the files before it is looked for), the library, its options and the processor.
Loading one is as good as believing it, so the folder is its user's alone, and the file carries its
own hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from edge_fgir import __version__
from edge_fgir._cache import own_cache_if_any
from edge_fgir._files import sha256, to_json, write_atomic
from edge_fgir.runtime.cores import usable_cores
from edge_fgir.runtime.forks import tell_forked
from edge_fgir.runtime.machine import instructions, processor

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle

_SCHEMA = "edge-fgir/compiled/1"
_MOST = 16
"""Files that are kept; those that were not used for longest go."""

Model = TypeVar("Model")


class _Opened:
    """The compiled models that somebody in this process holds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._models: WeakValueDictionary[str, Any] = WeakValueDictionary()
        tell_forked(self)

    def find_or_make(self, key: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            found = self._models.get(key)
            if found is None:
                found = self._models[key] = make()
            return found

    def forked(self) -> None:
        self._lock, self._models = Lock(), WeakValueDictionary()


_opened = _Opened()


def compiled_key(bundle: Bundle, **options: Any) -> str:
    """Return what stands for a bundle's model files, compiled on this machine with options.

    Args:
        bundle: It.
        options: The library's name and version, and how it compiles; JSON values.
    """
    manifest = bundle.manifest
    files = {each.path: each.sha256 for each in manifest.files if manifest.is_models(each.path)}
    facts = {
        "schema": _SCHEMA,
        "edge-fgir": __version__,
        "files": files,
        "processor": processor(),
        "instructions": instructions(),
        "cores": usable_cores(),
        **options,
    }
    return sha256(to_json(facts).encode())


def shared(key: str, make: Callable[[], Model]) -> Model:
    """Return the model that this process has open under a key; made where there is none.

    It is open as long as somebody holds it. A forked process makes its own.
    """
    found: Model = _opened.find_or_make(key, make)
    return found


def load_compiled(key: str) -> bytes | None:
    """Return the compiled model that is kept under a key; None: there is none, or it is damaged."""
    cache = own_cache_if_any()
    if cache is None:
        return None
    path = _path(cache, key)
    try:
        digest, data = path.read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return None
    if digest != sha256(data).encode():
        return None
    with suppress(OSError):
        os.utime(path)
    return data


def keep_compiled(key: str, data: bytes) -> None:
    """Keep a compiled model, where there is a folder for it."""
    cache = own_cache_if_any()
    if cache is None:
        return
    path = _path(cache, key)
    with suppress(OSError):
        write_atomic(path, sha256(data).encode() + b"\n" + data)
        kept = sorted(path.parent.glob("*.blob"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-_MOST]:
            old.unlink(missing_ok=True)


def _path(cache: Path, key: str) -> Path:
    return cache / "compiled" / f"{key}.blob"
