"""What a setting makes a network do."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from edge_fgir.models import Network, Setting
from edge_fgir.profiling.workload import Work, Workload

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "lrnet14"])
def test_a_cnn_works_by_pixels_alone(vitfs, name):
    network = Network(name=name)
    load = Workload(vitfs.model_copy(update={"network": network, "elastic_sizes": ()}))
    small, large = load.of(Setting(64)), load.of(Setting(128))
    assert (load.dim, small) == (0, Work(pixels=64**2))
    assert load.macs(large) == pytest.approx(4 * load.macs(small))


def test_a_transformer_works_by_tokens_of_its_width(vitfs):
    load = Workload(vitfs)
    work = load.of(Setting(64))
    assert load.dim > 0
    assert len(work.attention) == len(work.mlp) > 0
