"""The description of a network: everything that it is built from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from edge_fgir._errors import InputError
from edge_fgir._files import sha256
from edge_fgir.models.backbone import build_backbone, check_options, weights_tag
from edge_fgir.models.cal import make_cal
from edge_fgir.models.glsim import GLSimOptions, make_glsim
from edge_fgir.models.ila import Adapters, make_adapted
from edge_fgir.models.reduction import Reduction, make_reduced
from edge_fgir.models.weights import load_state, read_weights

_KEY_DIGITS = 16


class Network(BaseModel):
    """The section ``model`` of a recipe, and the network in the description of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(description="timm name, ours included")]
    weights: Annotated[
        str,
        Field(description="random, timm, efficientnet-lite0 (lite1, lite2) or a state dict file"),
    ] = "random"
    options: Annotated[
        dict[str, bool | int | float | str | tuple[int, ...]],
        Field(description="the architecture's own options, such as token_select of a ViTFS"),
    ] = {}
    drop_path: Annotated[float, Field(ge=0, lt=1, description="stochastic depth rate")] = 0.0
    layer_norm_eps: Annotated[
        float | None,
        Field(
            gt=0,
            le=1e-3,
            description="of the backbone's LayerNorms; null: the architecture's own (1e-6 in most "
            "transformers of timm, 1e-12 in that of GLSim's and ILA's authors)",
        ),
    ] = None
    attention_maps: Annotated[int, Field(ge=0, le=512, description="CAL maps; 0: no CAL")] = 0
    unmirrored_crops: Annotated[
        bool,
        Field(
            description="CAL's full inference cuts the mirror image's crops from the picture as it "
            "is, as the code of TGDA's authors does"
        ),
    ] = False
    reduction: Annotated[
        Reduction | None, Field(description="token reduction and CLCA of a vision transformer")
    ] = None
    glsim: Annotated[
        GLSimOptions | None,
        Field(description="a second look of a vision transformer at a part of the picture"),
    ] = None
    adapters: Annotated[
        Adapters | None,
        Field(description="train these and the head alone, on frozen weights (ILA)"),
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> Network:
        check_options(self.name, self.options)
        around = {
            "a CAL teacher": self.attention_maps,
            "token reduction": self.reduction,
            "GLSim": self.glsim,
            "adapters": self.adapters,
        }
        first, second, *_ = [*(name for name, value in around.items() if value), "", ""]
        if second:
            reason = ": GLSim compares all patches" if second == "GLSim" else ""
            raise InputError(f"{second} with {first}", f"one or the other{reason}")
        return self

    @property
    def trained(self) -> Network:
        """The same network without what only its training needs: a start and stochastic depth."""
        return self.model_copy(update={"weights": "random", "drop_path": 0.0})

    def key(self, num_classes: int, image_size: int | None = None) -> str:
        """Return a hash of everything that its operations depend on, which excludes weights.

        Args:
            num_classes: Number of classes.
            image_size: Input side, pixels; None: the same key for all sizes.
        """
        described = self.trained.model_dump(mode="json")
        facts = {"network": described, "num_classes": num_classes, "image_size": image_size}
        return sha256(json.dumps(facts, sort_keys=True).encode())[:_KEY_DIGITS]

    def build(
        self,
        num_classes: int,
        image_size: int | None = None,
        *,
        weights: str | None = None,
        meta: bool = False,
    ) -> nn.Module:
        """Build the network.

        Args:
            num_classes: Number of classes.
            image_size: Input side, pixels; only models of fixed size (ViTs) need it.
            weights: Instead of its own: ``random``, ``timm`` (timm downloads them),
                one of :data:`~edge_fgir.models.weights.PACKAGED`, or a file.
            meta: Allocate nothing, for counting; weights are left out.

        Raises:
            InputError: The name or an option is unknown, the weights are out of reach or do not
                fit, or the settings do not fit the architecture.
        """
        source = "random" if meta else weights or self.weights
        tag = weights_tag(self.name)
        options: dict[str, Any] = {"drop_path_rate": self.drop_path} if self.drop_path else {}
        if image_size and tag is not None and tag.fixed_input_size:
            options["img_size"] = image_size
        options |= self.options
        download = source == "timm"
        if download and not (tag is not None and tag.has_weights):
            raise InputError(
                f"timm has no weights for {self.name}",
                "weights random, or the path of a state dict",
            )
        state = None if source in ("random", "timm") else read_weights(source)
        if download and self.adapters is not None:
            # A base is known by its hash, which input size and classes must not change.
            base = build_backbone(self.name, tag.num_classes, {}, download=True)
            state, download = base.state_dict(), False
        classes = 0 if self.attention_maps else num_classes
        with torch.device("meta" if meta else "cpu"):
            backbone = build_backbone(self.name, classes, options, download=download)
            if self.layer_norm_eps is not None:
                _set_eps(backbone, self.layer_norm_eps)
            return self._around(backbone, num_classes, state, source, options.get("img_size"))

    def _around(
        self,
        backbone: nn.Module,
        num_classes: int,
        state: dict[str, Tensor] | None,
        source: str,
        image_size: int | None,
    ) -> nn.Module:
        """Fill the backbone from ``state`` and build what stands around it."""
        if self.adapters is not None:
            return make_adapted(backbone, self.adapters, state, source)
        if self.reduction is not None:
            return make_reduced(backbone, self.reduction, num_classes, state, source)
        if self.glsim is not None:
            return make_glsim(backbone, self.glsim, num_classes, state, source)
        if self.attention_maps:
            model = make_cal(backbone, num_classes, self.attention_maps, image_size, state, source)
            model.unmirrored_crops = self.unmirrored_crops
            return model
        if state is not None:
            load_state(backbone, state, source)
        return backbone


def _set_eps(backbone: nn.Module, eps: float) -> None:
    for module in backbone.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps
