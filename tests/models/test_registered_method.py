"""A method of token reduction that the package has never heard of, from recipe to bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from runs import write_recipe

from edge_fgir import InputError
from edge_fgir.data import open_data
from edge_fgir.models import Network, summarize
from edge_fgir.models.reduction import (
    METHODS,
    ReducedViT,
    Reducer,
    Reduction,
    ReductionMethod,
    ReductionStage,
    Tokens,
    TransformerShape,
    macs,
    planned,
    register,
    take,
)
from edge_fgir.profiling.search_space import SearchSpace
from edge_fgir.runs import Run
from edge_fgir.training import read_recipe, train

pytestmark = pytest.mark.slow


class EvenlySpaced(Reducer):
    """Keeps every so manieth token, and would rather that tokens were small."""

    def reduce(self, tokens: Tokens, stage: ReductionStage) -> Tokens:
        prefix = self.layout.prefix
        local = tokens.x[:, prefix:]
        if self.training:
            self.penalties.append(1e-4 * local.square().mean())
        index = torch.linspace(0, local.shape[1] - 1, stage.kept - prefix).round().long()
        chosen = index.to(local.device).expand(len(local), -1)
        return Tokens(torch.cat((tokens.x[:, :prefix], take(local, chosen)), dim=1))


EVENLY_SPACED = ReductionMethod(
    name="evenly_spaced",
    reducer=lambda layout, dim, stage: EvenlySpaced(layout),
    count=planned,
    macs=lambda stage, shape: 7 * stage.tokens,
    weightless=True,
)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(EVENLY_SPACED)
    yield
    del METHODS["evenly_spaced"]


def test_it_is_counted() -> None:
    reduction = Reduction(method="evenly_spaced", keep_rate=0.5)
    model = Network(name="vit_tiny_patch16_224", reduction=reduction).build(10, 224, meta=True)
    assert isinstance(model, ReducedViT)
    schedule = model.schedule(196)
    assert [stage.kept for stage in schedule.stages] == [1 + 98, 1 + 49, 1 + 24]
    blocks = summarize(model, "vit", 224, 10).blocks
    assert [block.attention_tokens for block in blocks] == [b.attention for b in schedule.blocks]
    assert [block.mlp_tokens for block in blocks] == [b.mlp for b in schedule.blocks]
    shape = TransformerShape(dim=192, heads=3, patch=16, num_classes=10)
    plain = ReductionMethod("plain", EVENLY_SPACED.reducer, planned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "evenly_spaced", plain)
        without = macs(schedule, reduction, 196, shape)
    assert macs(schedule, reduction, 196, shape) - without == 7 * (197 + 99 + 50)


@pytest.mark.export
def test_it_is_trained_exported_and_offered_to_the_profiler(
    run_cli: Callable, photos: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(
        tmp_path / "r.yaml",
        epochs=1,
        model={"name": "vitfs_nano", "reduction": {"method": "evenly_spaced", "keep_rate": 0.5}},
    )
    run, bundle = tmp_path / "run", tmp_path / "x.fgir"
    train(read_recipe(str(recipe)), open_data(str(photos)), run)
    opened = Run.open(run)
    trained, model = opened.description, opened.load()
    assert isinstance(model, ReducedViT)
    model.train()
    model(torch.randn(2, 3, 32, 32))
    penalty = model.take_penalty()
    assert penalty is not None
    assert penalty > 0
    assert model.take_penalty() is None
    offered = {"ats", "evenly_spaced", "evit", "none", "tome", "topk"}
    assert trained.network.reduction is not None
    assert trained.network.reduction.interchangeable == offered
    assert SearchSpace(trained).methods == ("evenly_spaced", "evit", "tome", "topk")
    evit = trained.at(trained.setting(method="evit"))
    assert SearchSpace(evit).methods == ("evit", "evenly_spaced", "tome", "topk")
    asked = ("--target", "arm", "--precision", "fp32", "--data", photos, "--out", bundle)
    done = run_cli("export", run, *asked, "--json")
    assert done.code == 0, done.err
    torch_answers, onnx_answers = (
        run_cli("eval", subject, "--data", photos, "--json").json for subject in (run, bundle)
    )
    assert onnx_answers["top1"] == pytest.approx(torch_answers["top1"], abs=0.01)


def test_a_name_is_given_once() -> None:
    register(EVENLY_SPACED)
    other = ReductionMethod("evenly_spaced", EVENLY_SPACED.reducer, planned)
    with pytest.raises(InputError, match="a second reduction method evenly_spaced"):
        register(other)


def test_an_unknown_method_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"method 'x'; expected 'ats', .* or 'evenly_spaced'"):
        Reduction.checked(method="x")
    path = write_recipe(
        tmp_path / "r.yaml", model={"name": "vitfs_nano", "reduction": {"method": "x"}}
    )
    with pytest.raises(InputError, match=r"model\.reduction\.method: Input should be 'ats'"):
        read_recipe(str(path))
