"""Networks are asked the same questions, whatever stands around their backbone."""

import ast
from pathlib import Path

import pytest
import torch

import edge_fgir
from edge_fgir import InputError
from edge_fgir.models import Network, as_wrapper
from edge_fgir.models.glsim import GLSimOptions
from edge_fgir.models.ila import Adapters
from edge_fgir.models.reduction import Reduction

pytestmark = pytest.mark.unit

VIT = {"name": "vit_tiny_patch16_224", "options": {"depth": 6, "embed_dim": 48}}
CASES = {
    "plain": Network.model_validate({**VIT}),
    "reduced": Network.model_validate({**VIT, "reduction": Reduction(keep_rate=0.5, blocks=(1,))}),
    "glsim": Network.model_validate({**VIT, "glsim": GLSimOptions()}),
    "adapted": Network.model_validate({**VIT, "adapters": Adapters()}),
    "cal": Network.model_validate({**VIT, "attention_maps": 4}),
}
NETWORKS = {"CAL", "ReducedViT", "GLSim", "AdaptedViT", "ViTFS", "VisionTransformer", "Wrapper"}


@pytest.mark.parametrize("kind", CASES)
def test_every_network_answers(kind: str) -> None:
    torch.manual_seed(0)
    model = CASES[kind].build(3, 96).eval()
    network, images = as_wrapper(model), torch.randn(2, 3, 96, 96)
    logits, *extra = network.outputs(images)
    assert torch.equal(logits, model(images))
    assert len(extra) == len(network.extra_outputs)
    assert network.backbone.blocks[5] is not None
    assert len(list(network.residual_stream(images))) == (6 if kind == "adapted" else 0)
    assert (network.learned_names() is not None) == (kind == "adapted")
    assert network.take_penalty() is None
    assert not network.adaptive
    with network.keeping(None):
        assert torch.equal(model(images), logits)
    schedule = network.token_schedule(96, Reduction(keep_rate=0.5, blocks=(1,)))
    assert (schedule is not None) == (kind == "reduced")
    if kind == "reduced":
        with network.keeping(1.0):
            assert not torch.equal(model(images), logits)
    else:
        with pytest.raises(InputError, match="a model without token reduction"):
            network.keeping(0.5)


def test_hardly_anybody_asks_what_kind_a_network_is() -> None:
    """Questions belong to the wrapper: 43 such tests stood in 21 files once."""
    root, tests = Path(edge_fgir.__file__).parent, []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                kinds = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                tests += [f"{path.name}:{node.lineno}"] if kinds & NETWORKS else []
    assert len(tests) <= 8, tests
