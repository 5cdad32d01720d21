"""Settings of GLSim."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_fgir._errors import InputError
from edge_fgir._refusal import refused_option

CropCls = Literal["shared", "separate"]
SimMetric = Literal["cos", "l1", "l2"]


class GLSimOptions(BaseModel):
    """Global-local similarity cropping (arXiv 2407.12891; docs/science/glsim.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_o: Annotated[
        int, Field(ge=1, le=4096, description="most similar patches, which the crop encloses")
    ] = 8
    sim_metric: Annotated[
        SimMetric,
        Field(
            description="cos: the cosine; l1 and l2, the authors' ablation: the mean absolute or "
            "squared difference, the smaller the more similar"
        ),
    ] = "cos"
    closed_box: Annotated[
        bool,
        Field(
            description="the crop takes in the last chosen row and column of patches, which the "
            "published rule leaves out"
        ),
    ] = False
    crop_cls: Annotated[
        CropCls,
        Field(description="class token of the crop's pass; without a class token there is none"),
    ] = "separate"
    zero_head: Annotated[
        bool, Field(description="the head starts at zero, as in the authors' own ViT")
    ] = True

    @classmethod
    def checked(cls, **values: Any) -> GLSimOptions:
        """Return settings from plain values.

        Raises:
            InputError: One is not legal.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise refused_option(error, "GLSim") from error

    def check_patches(self, patches: int) -> None:
        """Raise InputError if an input has fewer ``patches`` than are to be chosen."""
        if self.top_o > patches:
            raise InputError(
                f"GLSim: top_o {self.top_o} of {patches} patches",
                f"at most {patches}: the most similar patches are chosen among all",
                "lower top_o, or use a larger input",
            )
