"""Keep counts that fill the tiles of a device."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from edge_fgir.models.setting import Setting
from edge_fgir.profiling.features import SMOOTH, Tile
from edge_fgir.profiling.search_space import RATES
from edge_fgir.profiling.tile_rounding import tile_rounded
from edge_fgir.profiling.workload import Workload

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def load(vitfs):
    return Workload(vitfs)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rates=st.tuples(*[st.sampled_from(RATES)] * 3),
    side=st.sampled_from([64, 96, 128, 192]),
    size=st.sampled_from([4, 8, 16]),
    method=st.sampled_from(["evit", "topk"]),
)
def test_counts_become_whole_tiles_and_never_fewer(load, rates, side, size, method):
    before = Setting(side, rates, method)
    after = tile_rounded(before, load, Tile(size, 1.0))
    for place in range(3):
        stage = load.stage(after, place)
        whole = stage.kept == stage.tokens or stage.kept % size == 0
        assert whole, (place, stage)
        assert stage.kept >= load.stage(before, place).kept
        assert stage.kept - load.stage(before, place).kept < size * 3


def test_what_has_no_tiles_or_no_counts_of_its_own_stays(load):
    setting = Setting(128, (0.7, 0.5, 0.5), "evit")
    assert tile_rounded(setting, load, SMOOTH) == setting
    tome = setting._replace(method="tome")
    assert tile_rounded(tome, load, Tile(16, 1.0)) == tome
