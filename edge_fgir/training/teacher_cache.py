"""What a teacher said about a bounded number of augmented views, kept on disk.

TGDA's authors run the teacher twice in every step. Its answer depends only on the augmented
picture, so with a fixed number of draws of the augmentation it need be asked once: the maps and
thresholds behind the views, and the logits. Every further epoch and every further student replays
them.

One file a draw of the augmentation, written whole under a lock: processes may share a folder. The
folder's name is a digest of everything the answers depend on, so nothing stale is ever found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from edge_fgir._errors import EdgeFgirError, InputError
from edge_fgir._files import alone, read_file, regular, to_json, write_atomic
from edge_fgir._progress import progress
from edge_fgir.data.loaders import Pictures, mixed_seed
from edge_fgir.results import TeacherCacheSize
from edge_fgir.runs import View
from edge_fgir.training.soft_targets import LiveTeacher, SoftTargets
from edge_fgir.training.views import ViewSpec, make_views

FACTS = "cache.json"
_VERSION = 1


@dataclass(frozen=True)
class CacheSource:
    """Who fills a cache, and from what.

    Attributes:
        facts: Everything the answers depend on, as plain JSON values.
        pictures: Batches of every picture in order, under one draw of the augmentation.
        prepare: Turns a batch's pixels into what the teacher sees.
        teacher: Loads the teacher; called only when something is missing.
        count: Number of pictures.
        seed: Of the maps and thresholds that are drawn for views.
    """

    facts: dict[str, Any]
    pictures: Callable[[int], Iterator[Pictures]]
    prepare: Callable[[Tensor], Tensor]
    teacher: Callable[[], LiveTeacher]
    count: int
    seed: int = 0


class TeacherCache:
    """A folder with one file for each draw of the augmentation.

    Args:
        root: Folder that holds caches.
        source: Who fills this one.

    Raises:
        InputError: The folder of that name was made by another teacher, or from other data.
    """

    def __init__(self, root: Path, source: CacheSource) -> None:
        facts = {"version": _VERSION, **source.facts}
        digest = hashlib.sha256(to_json(facts).encode()).hexdigest()
        self.folder = root / digest[:16]
        self._source = source
        self._check(facts)

    def _check(self, facts: dict[str, Any]) -> None:
        path = self.folder / FACTS
        if not path.exists():
            write_atomic(path, to_json(facts))
        try:
            stored = json.loads(read_file(path))
        except (ValueError, RecursionError):
            stored = None
        if stored != json.loads(to_json(facts)):
            known = stored if isinstance(stored, dict) else {}
            other = sorted(key for key in facts if known.get(key) != facts[key])
            raise InputError(
                f"teacher cache {self.folder} was made with another {', '.join(other)}",
                "the cache of this teacher and data",
                "delete the folder",
            )

    @property
    def size(self) -> TeacherCacheSize:
        """How many draws of the augmentation it holds, and its bytes."""
        sizes = [path.stat().st_size for path in self.folder.glob("*.safetensors")]
        return TeacherCacheSize(folder=str(self.folder), variants=len(sizes), bytes=sum(sizes))

    def variant(self, number: int, title: str) -> dict[str, Tensor]:
        """Return the answers about one draw of the augmentation; the first caller asks the teacher.

        Returns:
            ``logits`` (N, 1 + V, K) ``float16`` of raw and views, ``maps`` (N, V, h, w) ``float16``
            and ``theta`` (N, V); the last two only where there are views.

        Raises:
            InputError: The file is damaged.
            EdgeFgirError: There is no room for it.
        """
        path = self.folder / f"variant-{number:05d}.safetensors"
        if not path.exists():
            with alone(path.with_suffix(".lock")):
                # Another process may have filled it while this one waited.
                if not path.exists():
                    self._write(path, save(self._ask(number, title)))
        try:
            answers: dict[str, Tensor] = load_file(regular(path))
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"teacher cache {path} cannot be read ({error})", "it as written", "delete the file"
            ) from error
        self._check_answers(path, answers)
        return answers

    def _check_answers(self, path: Path, answers: dict[str, Tensor]) -> None:
        """Refuse answers that are not about every picture, as a damaged or a planted file's are."""
        shapes = {name: tuple(value.shape) for name, value in answers.items()}
        axes = {"logits": 3, "maps": 4, "theta": 2}
        if (
            not {"logits"} <= set(shapes) <= set(axes)
            or any(len(shape) != axes[name] for name, shape in shapes.items())
            or any(shape[0] != self._source.count for shape in shapes.values())
            or not all(value.isfinite().all() for value in answers.values())
        ):
            raise InputError(
                f"teacher cache {path} holds {shapes or 'nothing'}",
                f"finite logits, and maps, of {self._source.count} pictures",
                "delete the file",
            )

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomic(path, data)
        except OSError as error:
            raise EdgeFgirError(
                f"teacher cache {path} could not be written ({error.strerror}); each draw of the "
                f"augmentation takes {len(data) / 1e6:.1f} MB: make room, set teacher.cache_folder "
                "to another disk or lower teacher.cache_variants"
            ) from error

    @torch.inference_mode()
    def _ask(self, number: int, title: str) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {}
        with progress(title, self._source.count) as meter, torch.random.fork_rng():
            teacher = self._source.teacher()
            seed = self._source.seed
            torch.manual_seed(mixed_seed(number, seed) if seed else mixed_seed(number))
            for pixels, _, _ in self._source.pictures(number):
                images = self._source.prepare(pixels)
                targets, spec = teacher.observe(images, compact=True)
                for name, value in _answers(targets, spec, len(pixels)).items():
                    parts.setdefault(name, []).append(value.cpu())
                meter.advance(len(pixels))
        return {name: torch.cat(values) for name, values in parts.items()}


def _answers(targets: SoftTargets, spec: ViewSpec | None, batch: int) -> dict[str, Tensor]:
    logits = [targets.raw]
    if targets.of_views is None or spec is None:
        return {"logits": torch.stack(logits, dim=1).half()}
    logits += targets.of_views.split(batch)
    return {"logits": torch.stack(logits, dim=1).half(), "maps": spec.maps, "theta": spec.theta}


class CachedTeacher:
    """A :class:`SoftTargetSource` that replays a cache; the views are made again from the pixels.

    Args:
        cache: The answers.
        views: Views they are about.
        device: Where the student learns.
    """

    def __init__(self, cache: TeacherCache, views: tuple[View, ...], device: torch.device) -> None:
        self.views = views
        self.cache, self._device = cache, device
        self._number = -1
        self._answers: dict[str, Tensor] = {}

    def start(self, variant: int, title: str) -> None:
        """Take the answers about one draw of the augmentation; all of the next looks are at it."""
        if variant != self._number:
            self._answers = self.cache.variant(variant, title)
            self._number = variant

    @torch.no_grad()
    def look(self, images: Tensor, indices: Tensor) -> SoftTargets:
        """Return what the teacher said about these pictures."""
        places = indices.cpu()
        logits = self._answers["logits"][places].to(self._device).float()
        if not self.views:
            return SoftTargets(logits[:, 0], None, None)
        spec = ViewSpec(
            self._answers["maps"][places].to(self._device),
            self._answers["theta"][places].to(self._device),
        )
        of_views = logits[:, 1:].transpose(0, 1).flatten(0, 1)
        return SoftTargets(logits[:, 0], make_views(images, spec, self.views), of_views)

    def state(self) -> dict[str, Tensor]:
        """Nothing to keep: the cache is on disk."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing to take back."""
