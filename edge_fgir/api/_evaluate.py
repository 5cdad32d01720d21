"""Evaluating a run or a bundle on a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_fgir._errors import InputError
from edge_fgir.api._data import Data, data_set
from edge_fgir.data import Split
from edge_fgir.evaluation import BundlePredictor, Visits
from edge_fgir.evaluation import evaluate as evaluate_predictor
from edge_fgir.results import Evaluation
from edge_fgir.runtime import AUTO, Classifier, Device, EngineOptions, is_bundle

if TYPE_CHECKING:
    from edge_fgir.runs import Run


def evaluate(
    model: Run | Classifier | Path | str,
    data: Data,
    split: Split = "test",
    *,
    device: Device | EngineOptions = AUTO,
    full: bool = False,
    logit_adjustment: float | Literal["auto"] | None = None,
    shot_bounds: tuple[int, int] = (100, 20),
    visits: str | None = None,
    accept_data_change: bool = False,
    strict: bool = False,
) -> Evaluation:
    """Measure the accuracy of a run or a bundle on a split, as ``edge-fgir eval`` does.

    Example::

        import edge_fgir as ef

        in_torch = ef.evaluate("runs/student", "photos", "val")
        on_device = ef.evaluate("birds.fgir", "photos", "val")
        print(in_torch.top1, on_device.top1, on_device.top1_interval)

    Args:
        model: A run folder or bundle, or one that is open; ``run.at(setting)`` is a run at another
            input size or keep rate. Bundles need no torch.
        data: A folder of photographs, a built-in name, or an open data set.
        split: ``train``, ``val`` or ``test``.
        device: For the path of a bundle: where it answers, or options that say more (variant).
        full: For a run: a CAL teacher's full inference, 8 forwards.
        logit_adjustment: For a run: tau of the post-hoc logit adjustment, or ``auto``.
        shot_bounds: Classes with more training pictures than the first number are ``many``, with
            fewer than the second ``few``.
        visits: Which pictures show one visit, for the accuracy a visit: ``folder``, ``frigate``,
            ``name:REGEX`` or ``time:SECONDS`` (:class:`~edge_fgir.evaluation.Visits`).
        accept_data_change: For a run: evaluate it although it learned some of these pictures.
        strict: Refuse pictures that cannot be used, or would have to be converted.

    Raises:
        InputError: The model is missing or knows other classes, an option is not for it, or a run
            was trained on pictures that now lie in this split, or on those that ``auto`` goes by.
    """
    pictures = data_set(data, strict=strict)
    grouping = None if visits is None else Visits.parse(visits)
    if isinstance(model, str | Path):
        path = Path(model)
        if not path.exists():
            raise InputError(f"{path} does not exist", "a run folder or a bundle")
        if is_bundle(path):
            with Classifier.open(path, device) as classifier:
                return evaluate(
                    classifier,
                    pictures,
                    split,
                    full=full,
                    logit_adjustment=logit_adjustment,
                    shot_bounds=shot_bounds,
                    visits=visits,
                )
        from edge_fgir.runs import Run

        model = Run.open(path)
    if isinstance(model, Classifier):
        if full or logit_adjustment is not None:
            raise InputError(
                f"{'full inference' if full else 'a logit adjustment'} for the bundle "
                f"{model.bundle.path}, in which it is fixed",
                "a run folder",
                "export another bundle with it, or leave it out",
            )
        predictor = BundlePredictor(model)
        return evaluate_predictor(
            predictor, pictures, split, shot_bounds=shot_bounds, visits=grouping
        )
    if split == "val" and model.learned_val and not accept_data_change:
        raise InputError(
            f"run {model.path} was trained on val as well (data.with_val)",
            "pictures that it has not seen",
            "evaluate it on test, or add --accept-data-change",
        )
    if logit_adjustment == "auto" and model.learned_val:
        raise InputError(
            f"--logit-adjustment auto for run {model.path}, which was trained on val as well",
            "val that it has not seen",
            "give tau itself, or train without data.with_val",
        )
    change = model.data_change(pictures)
    asked_splits: tuple[Split, ...] = (split, "val") if logit_adjustment == "auto" else (split,)
    for each in asked_splits:
        learned = change.learned(each)
        if learned and not accept_data_change:
            raise InputError(
                f"run {model.path} was trained on {learned} of the {len(pictures.split(each))} "
                f"pictures that lie in {each} of data {pictures.name} now",
                "pictures that it has not seen",
                "split the data as it was, or add --accept-data-change",
            )
    asked = model.predictor(pictures, full=full, logit_adjustment=logit_adjustment)
    result = evaluate_predictor(asked, pictures, split, shot_bounds=shot_bounds, visits=grouping)
    return (
        result.model_copy(update={"data_change": str(change)}) if change.other_pictures else result
    )
