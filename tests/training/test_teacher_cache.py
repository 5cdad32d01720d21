"""What a teacher said, kept: replayed exactly, found by the right student only, whole or absent."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from interruption import StopBefore
from runs import RECIPE, write_recipe
from safetensors.torch import load_file, save_file
from torch import Tensor

from edge_fgir import InputError, results
from edge_fgir._errors import EdgeFgirError
from edge_fgir.data import DataSet, open_data, pack
from edge_fgir.data.loaders import TrainImages, all_images, mixed_seed
from edge_fgir.models import Network
from edge_fgir.models.inference import normalized
from edge_fgir.runs import Recipe, Run, TrainedModel
from edge_fgir.runtime import Preprocess
from edge_fgir.runtime.manifest import Normalization
from edge_fgir.training import Hook, read_recipe, teacher_cache, train
from edge_fgir.training.checkpoint import save_weights
from edge_fgir.training.soft_targets import LiveTeacher, SoftTargets
from edge_fgir.training.teacher_cache import CachedTeacher
from edge_fgir.training.teachers import Teacher, train_fingerprint

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
NORMALIZATION = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2))


def make_teacher(run: Path, data: DataSet, seed: int = 0) -> Path:
    """Write a CAL run with random weights."""
    trained = TrainedModel(
        name="teacher",
        network=Network(name="lrnet14", attention_maps=4),
        num_classes=len(data.classes),
        normalization=NORMALIZATION,
        preprocess=Preprocess(size=32, kernel="bilinear", antialias=True, crop_fraction=1.0),
        data=data.info,
    )
    torch.manual_seed(seed)
    Run(run).write(trained, data.classes)
    save_weights(Run(run).last_weights, trained.build())
    return run


@pytest.fixture
def data(photos: Path) -> DataSet:
    return open_data(str(photos))


@pytest.fixture
def plan(tmp_path: Path, data: DataSet) -> dict[str, Any]:
    """A recipe's values: TGDA with two kept draws, three steps an epoch."""
    run = make_teacher(tmp_path / "teacher", data)
    teacher = {"run": str(run), "cache_variants": 2}
    return {**RECIPE, "method": "tgda", "epochs": 4, "batch_size": 24, "teacher": teacher}


def changed(plan: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """The plan with one (dotted) key set."""
    section, _, name = key.rpartition(".")
    return (
        {**plan, name: value}
        if not section
        else {**plan, section: {**plan.get(section, {}), name: value}}
    )


def images_of(data: DataSet) -> TrainImages:
    samples = data.split("train")
    return TrainImages(data, samples, size=32, resize=38, trivial_augment=False, seed=0)


def find(plan: dict[str, Any], data: DataSet, precision: str = "fp32") -> Teacher:
    teacher = Teacher.find(Recipe.model_validate(plan), data, CPU, precision)
    assert teacher is not None
    return teacher


def folder_of(plan: dict[str, Any], data: DataSet) -> Path:
    return source_of(plan, data).cache.folder


def source_of(plan: dict[str, Any], data: DataSet, precision: str = "fp32") -> CachedTeacher:
    fingerprint = train_fingerprint(data, Recipe.model_validate(plan))
    target_source = find(plan, data, precision).target_source(images_of(data), fingerprint, 0)
    assert isinstance(target_source, CachedTeacher)
    return target_source


def live_looks(
    plan: dict[str, Any], data: DataSet, variant: int
) -> Iterator[tuple[Tensor, Tensor, SoftTargets]]:
    """Yield images, their places and what the teacher itself says, as it is asked for a cache."""
    live = find(plan, data).live()
    torch.manual_seed(mixed_seed(variant))
    for pixels, _, indices in all_images(images_of(data), variant, 32, workers=0):
        images = normalized(pixels, NORMALIZATION)
        yield images, indices, live.observe(images, compact=True)[0]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each question to a teacher was about."""
    found: list[int] = []
    original = LiveTeacher.observe

    def observe(self: LiveTeacher, images: Tensor, **options: bool) -> Any:
        found.append(len(images))
        return original(self, images, **options)

    monkeypatch.setattr(LiveTeacher, "observe", observe)
    return found


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Runs whose weights were loaded."""
    found: list[Path] = []
    original = Run.load

    def load(run: Run, *arguments: Any) -> Any:
        found.append(run.path)
        return original(run, *arguments)

    monkeypatch.setattr(Run, "load", load)
    return found


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_replay_is_the_live_look(plan: dict[str, Any], data: DataSet) -> None:
    target_source = source_of(plan, data)
    target_source.start(1, "")
    for images, indices, wanted in live_looks(plan, data, 1):
        found = target_source.look(images, indices)
        assert found.views is not None
        assert found.of_views is not None
        assert wanted.views is not None
        assert wanted.of_views is not None
        assert torch.equal(found.views, wanted.views)
        assert torch.equal(found.raw, wanted.raw.half().float())
        assert torch.equal(found.of_views, wanted.of_views.half().float())
        # A student sees the same pictures in another company.
        few = torch.tensor([5, 0, 2])
        alone = target_source.look(images[few], indices[few])
        assert alone.views is not None
        by_view = wanted.views.unflatten(0, (2, len(images)))
        assert torch.equal(alone.views, by_view[:, few].flatten(0, 1))
        assert torch.equal(alone.raw, found.raw[few])


def test_draws_of_the_augmentation_differ(plan: dict[str, Any], data: DataSet) -> None:
    cache = source_of(plan, data).cache
    first, second = cache.variant(0, ""), cache.variant(1, "")
    assert {name: value.shape[0] for name, value in first.items()} == {
        "logits": 72,
        "maps": 72,
        "theta": 72,
    }
    assert first["logits"].shape == (72, 3, 3)
    assert all(not torch.equal(first[name], second[name]) for name in first)


def test_plain_distillation_keeps_logits_alone(plan: dict[str, Any], data: DataSet) -> None:
    plan = {**plan, "method": "kd"}
    target_source = source_of(plan, data)
    target_source.start(0, "")
    assert set(load_file(target_source.cache.folder / "variant-00000.safetensors")) == {"logits"}
    for images, indices, wanted in live_looks(plan, data, 0):
        found = target_source.look(images, indices)
        assert (found.views, found.of_views) == (None, None)
        assert torch.equal(found.raw, wanted.raw.half().float())


def fit(
    plan: dict[str, Any], data: DataSet, out: Path, *hooks: Hook, resume: bool = False
) -> results.Training:
    return train(Recipe.model_validate(plan), data, out, resume=resume, hooks=hooks)


@pytest.mark.slow
def test_only_the_first_student_asks(
    plan: dict[str, Any], data: DataSet, tmp_path: Path, asked: list[int], loaded: list[Path]
) -> None:
    summary = fit(plan, data, tmp_path / "first")
    folder = Path(summary.teacher_cache.folder)
    names = ["cache.json", "variant-00000.safetensors", "variant-00001.safetensors"]
    assert folder.parent == tmp_path / "teacher" / "cache"
    assert files_in(folder) == names
    assert summary.teacher_cache.variants == 2
    sizes = [(folder / name).stat().st_size for name in names[1:]]
    assert summary.teacher_cache.bytes == sum(sizes)
    assert (sum(asked), len(loaded)) == (2 * 72, 1)

    other = changed(
        changed({**plan, "epochs": 3, "seed": 7}, "optimizer.lr", 0.01), "model.name", "resnet10t"
    )
    written = [(folder / name).stat().st_mtime_ns for name in names]
    again = fit(other, data, tmp_path / "second")
    assert again.teacher_cache == summary.teacher_cache
    assert (sum(asked), len(loaded)) == (2 * 72, 1)
    assert [(folder / name).stat().st_mtime_ns for name in names] == written


@pytest.mark.slow
def test_kd_replays_too(
    plan: dict[str, Any], data: DataSet, tmp_path: Path, asked: list[int]
) -> None:
    # Views are not kd's business, so those that depend on the batch are no obstacle.
    summary = fit({**plan, "method": "kd", "views": ["mix"]}, data, tmp_path / "run")
    assert (summary.views, summary.teacher_cache.variants) == ((), 2)
    assert sum(asked) == 2 * 72
    assert not (tmp_path / "run" / "pictures").exists()


def test_a_cache_folder_may_be_elsewhere(
    plan: dict[str, Any], data: DataSet, tmp_path: Path
) -> None:
    plan = changed(plan, "teacher.cache_folder", str(tmp_path / "shared"))
    assert folder_of(plan, data).parent == tmp_path / "shared"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.view_size", 40),
        ("data.resize_ratio", 1.3),
        ("data.trivial_augment", True),
        ("data.convert", True),
        ("views", ["crop"]),
        ("views", ["drop", "crop"]),
        ("method", "kd"),
        ("teacher.mode", "eval"),
        ("teacher.first_maps", 2),
        ("teacher.cache_seed", 1),
    ],
)
def test_other_answers_lie_elsewhere(
    plan: dict[str, Any], data: DataSet, key: str, value: object
) -> None:
    assert folder_of(changed(plan, key, value), data) != folder_of(plan, data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.name", "resnet10t"),
        ("model.drop_path", 0.3),
        ("seed", 5),
        ("epochs", 9),
        ("batch_size", 8),
        ("eval.image_size", 48),
        ("optimizer.lr", 0.1),
        ("loss.temperature", 2.0),
        ("data.workers", 1),
        ("data.mean", (0.1, 0.1, 0.1)),
        ("teacher.cache_variants", 5),
        ("teacher.joint_forward", True),
    ],
)
def test_what_is_the_students_own_changes_nothing(
    plan: dict[str, Any], data: DataSet, key: str, value: object
) -> None:
    assert folder_of(changed(plan, key, value), data) == folder_of(plan, data)


def test_another_number_format_lies_elsewhere(plan: dict[str, Any], data: DataSet) -> None:
    assert source_of(plan, data, "bf16").cache.folder != folder_of(plan, data)


def test_another_teacher_lies_elsewhere(
    plan: dict[str, Any], data: DataSet, tmp_path: Path
) -> None:
    before = folder_of(plan, data)
    make_teacher(tmp_path / "teacher", data, seed=1)
    assert folder_of(plan, data) != before
    make_teacher(tmp_path / "teacher", data)
    assert folder_of(plan, data) == before


def test_a_teacher_with_other_options_lies_elsewhere(
    plan: dict[str, Any], data: DataSet, tmp_path: Path
) -> None:
    before = folder_of(plan, data)
    path = tmp_path / "teacher" / "model.json"
    described = json.loads(path.read_text())
    described["network"]["options"] = {"in_chans": 3}
    path.write_text(json.dumps(described))
    assert folder_of(plan, data) != before


@pytest.mark.parametrize("shards", [False, True])
def test_touched_pictures_lie_elsewhere(
    plan: dict[str, Any], photos: Path, tmp_path: Path, shards: bool
) -> None:
    copy = tmp_path / "copy"
    if shards:
        pack(open_data(str(photos)), copy, 100_000)
    else:
        shutil.copytree(photos, copy)
    data = open_data(str(copy))
    before = folder_of(plan, data)
    assert source_of(plan, open_data(str(copy))).cache.folder == before
    file = data.split("train")[40].file
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1_000_000))
    assert source_of(plan, open_data(str(copy))).cache.folder != before


@pytest.mark.parametrize(
    ("text", "named"),
    [('{"version": 1}', "architecture, data, files"), ("{", "architecture, data")],
)
def test_a_folder_of_other_facts_is_refused(
    plan: dict[str, Any], data: DataSet, text: str, named: str
) -> None:
    facts = folder_of(plan, data) / "cache.json"
    facts.write_text(text)
    with pytest.raises(InputError, match=f"was made with another {named}") as caught:
        source_of(plan, data)
    assert str(caught.value).endswith("delete the folder")
    assert "\n" not in str(caught.value)


def test_what_differs_is_named(plan: dict[str, Any], data: DataSet) -> None:
    facts = folder_of(plan, data) / "cache.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "teacher": "another"}))
    with pytest.raises(InputError, match="was made with another teacher; expected"):
        source_of(plan, data)


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_cut_file_is_one_line_and_mends_by_deleting(
    plan: dict[str, Any], data: DataSet, kept: int
) -> None:
    target_source = source_of(plan, data)
    target_source.start(0, "")
    path = target_source.cache.folder / "variant-00000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with pytest.raises(InputError, match=r"variant-00000\.safetensors cannot be read") as caught:
        source_of(plan, data).start(0, "")
    assert str(caught.value).endswith("delete the file")
    assert "\n" not in str(caught.value)
    path.unlink()
    source_of(plan, data).start(0, "")
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"logits": torch.zeros(3, 1, 3)},
        {"logits": torch.zeros(7)},
        {"maps": torch.zeros(2, 2, 2, 2)},
        {"logits": torch.full((72, 1, 3), float("nan"))},
    ],
)
def test_answers_of_other_pictures_are_refused(
    plan: dict[str, Any], data: DataSet, answers: dict[str, Tensor]
) -> None:
    target_source = source_of(plan, data)
    target_source.start(0, "")
    save_file(answers, target_source.cache.folder / "variant-00000.safetensors")
    with pytest.raises(InputError, match=r"holds .*; expected finite logits.* delete the file"):
        source_of(plan, data).start(0, "")


def test_a_full_disk_says_how_much_is_needed(
    plan: dict[str, Any], data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    target_source = source_of(plan, data)
    monkeypatch.setattr(teacher_cache, "write_atomic", full)
    with pytest.raises(
        EdgeFgirError, match=r"No space left.*takes 0\.0 MB: make room, set"
    ) as caught:
        target_source.start(0, "")
    assert "\n" not in str(caught.value)
    assert is_free(target_source.cache.folder / "variant-00000.lock")


def is_free(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_an_interrupted_fill_leaves_nothing_to_find(
    plan: dict[str, Any], data: DataSet, monkeypatch: pytest.MonkeyPatch, asked: list[int]
) -> None:
    original = LiveTeacher.observe

    def observe(self: LiveTeacher, images: Tensor, **options: bool) -> Any:
        if asked:
            raise KeyboardInterrupt
        return original(self, images, **options)

    target_source = source_of(plan, data)
    with monkeypatch.context() as patch:
        patch.setattr(LiveTeacher, "observe", observe)
        with pytest.raises(KeyboardInterrupt):
            target_source.start(0, "")
    assert asked == [32]
    assert files_in(target_source.cache.folder) == ["cache.json"]
    assert is_free(target_source.cache.folder / "variant-00000.lock")
    target_source.start(0, "")
    assert target_source.cache.size.variants == 1


def test_the_runs_random_numbers_are_left_alone(plan: dict[str, Any], data: DataSet) -> None:
    target_source = source_of(plan, data)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    target_source.start(0, "")
    assert torch.equal(torch.get_rng_state(), state)


def study(plan: dict[str, Any], photos: Path, marks: Path) -> int:
    """Take a variant in a process of its own; return how many images the teacher was asked about.

    Asking waits until both processes want the cold variant.
    """
    torch.set_num_threads(1)
    asked = 0
    observe, alone = LiveTeacher.observe, teacher_cache.alone  # type: ignore[attr-defined]

    def both_are_here(self: LiveTeacher, images: Tensor, **options: bool) -> Any:
        nonlocal asked
        while len(list(marks.iterdir())) < 2:
            os.sched_yield()
        asked += len(images)
        return observe(self, images, **options)

    def mark(path: Path) -> Any:
        (marks / str(os.getpid())).touch()
        return alone(path)

    LiveTeacher.observe = both_are_here  # type: ignore[method-assign]
    teacher_cache.alone = mark  # type: ignore[attr-defined]
    target_source = source_of(plan, open_data(str(photos)))
    target_source.start(0, "")
    assert target_source._answers["logits"].shape == (72, 3, 3)
    return asked


@pytest.mark.slow
def test_of_two_processes_one_asks(plan: dict[str, Any], photos: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        students = [pool.submit(study, plan, photos, tmp_path / "marks") for _ in range(2)]
        counts = [student.result(timeout=1800) for student in students]
    assert sorted(counts) == [0, 72]
    (folder,) = (tmp_path / "teacher" / "cache").iterdir()
    assert files_in(folder) == ["cache.json", "variant-00000.safetensors"]
    assert is_free(folder / "variant-00000.lock")


@pytest.mark.slow
@pytest.mark.parametrize("gone", [False, True])
def test_an_interrupted_student_resumes_bit_exactly(
    plan: dict[str, Any], data: DataSet, tmp_path: Path, gone: bool
) -> None:
    plan = {**plan, "checkpoint_steps": 2}
    whole = fit(plan, data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(plan, data, tmp_path / "parts", StopBefore(9))
    if gone:
        shutil.rmtree(whole.teacher_cache.folder)
    parts = fit(plan, data, tmp_path / "parts", resume=True)
    assert parts.teacher_cache.folder == whole.teacher_cache.folder
    one, other = (load_file(Run(tmp_path / run).weights) for run in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["teacher.mode=train"], "teacher.mode train .* cannot be cached"),
        (["views=[crop, mix]"], "mix views depend on the batch and cannot be cached"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    teacher = {"run": "teacher", "cache_variants": 2}
    path = write_recipe(tmp_path / "r.yaml", method="tgda", teacher=teacher)
    assert read_recipe(str(path)).teacher is not None
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(str(path), overrides)
    assert "\n" not in str(caught.value)
    assert read_recipe(str(path), [*overrides, "teacher.cache_variants=0"]).teacher is not None
