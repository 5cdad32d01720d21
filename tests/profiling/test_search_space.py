"""The settings that weights may be deployed at."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from edge_fgir import InputError
from edge_fgir.models import Network
from edge_fgir.models.reduction import METHODS, Reduction
from edge_fgir.models.setting import Setting
from edge_fgir.profiling.search_space import RATES, SearchSpace
from edge_fgir.profiling.workload import Workload

pytestmark = pytest.mark.unit


@pytest.fixture
def trained(vitfs):
    return vitfs


@pytest.fixture
def cnn(vitfs):
    """What a run of an LRNet-14 at 32 px says of itself."""
    plain = vitfs.model_copy(update={"network": Network(name="lrnet14"), "elastic_sizes": ()})
    return plain.at(Setting(32))


def test_an_elastic_run_has_its_own_sizes(trained):
    assert SearchSpace(trained).sizes == (32, 48, 64)


def test_a_plain_run_has_sizes_about_its_own(cnn):
    assert SearchSpace(cnn).sizes == (32,)
    assert SearchSpace(cnn.at(Setting(128))).sizes == (64, 80, 96, 112, 128, 160)


def test_the_coarse_grid_is_part_of_the_whole(trained):
    space = SearchSpace(trained)
    whole = list(space.whole())
    assert len(set(whole)) == len(whole)
    assert set(space.coarse()) < set(whole)


def test_every_setting_is_legal(trained):
    space, load = SearchSpace(trained), Workload(trained)
    for setting in space.whole():
        assert load.of(setting).mlp[-1] >= 1


def test_dropping_nothing_is_one_setting_whatever_the_method(trained):
    space = SearchSpace(trained)
    full = [one for one in space.whole() if set(space.rates_of(one)) == {1.0}]
    assert {one.method for one in full} == {"evit"}


def test_methods_without_weights_may_replace_each_other(trained):
    assert SearchSpace(trained).methods == ("evit", "tome", "topk")
    assert all(
        rate >= 0.5
        for one in SearchSpace(trained).whole()
        if one.method == "tome"
        for rate in SearchSpace(trained).rates_of(one)
    )


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("none", "ats")])
def test_a_method_with_weights_keeps_them(trained, method):
    network = Network(name=trained.network.name, reduction=Reduction(method=method, keep_rate=0.7))
    changed = trained.model_copy(update={"network": network})
    space = SearchSpace(changed, (64,))
    assert space.methods[0] == method
    if method in ("sit", "patchmerger"):
        assert {space.rates_of(one) for one in space.whole()} == {(0.7, 0.7, 0.7)}


def test_a_cnn_has_sizes_alone(cnn):
    space = SearchSpace(cnn, (32, 48))
    assert [one.keep_rate for one in space.whole()] == [None, None]
    assert [one.image_size for one in space.whole()] == [32, 48]


def test_a_size_that_does_not_fit_is_refused(trained):
    with pytest.raises(InputError, match="multiple of 16"):
        SearchSpace(trained, (50,))


def test_rates_fall(trained):
    assert list(RATES) == sorted(RATES, reverse=True)
    assert RATES[0] == 1.0
