"""Files that the version before typed devices wrote still open."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from synthetic import settings, smooth, work_of

from edge_fgir import InputError
from edge_fgir.profiling import Plan
from edge_fgir.profiling.fit import FittedModel

pytestmark = pytest.mark.unit

FOLDER = Path(__file__).parent / "version_1"


def test_a_latency_model_still_predicts() -> None:
    fitted = FittedModel.read(FOLDER / "latency-model.json")
    assert (fitted.device.board, fitted.device.cpus) == ("Raspberry Pi 5 Model B Rev 1.0", 4)
    (work,) = (work_of(setting) for setting in settings(1))
    assert fitted.model.predict([work])[0].ms == pytest.approx(smooth(work), rel=0.02)


def test_a_latency_model_still_knows_its_device() -> None:
    path = FOLDER / "latency-model.json"
    fitted = FittedModel.read(path)
    fitted.check(fitted.device, "arm", path)
    other = fitted.device.model_copy(update={"cpus": 2})
    with pytest.raises(InputError, match=r"with cpus 4; expected this device, .* with cpus 2"):
        fitted.check(other, "arm", path)


def test_a_plan_still_says_what_to_build() -> None:
    plan = Plan.read(FOLDER / "plan.json")
    assert plan.chosen.setting == (96, (0.7, 0.5, 0.5), "evit")
    assert plan.budget.latency_ms == 30
