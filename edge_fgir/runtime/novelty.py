"""Whether a picture is like those that a model has learned from, by the model's own features.

The vectors that the classifier reads of such pictures lie close to a space of few dimensions, and
those of other pictures, of noise and of flat frames stand out of it. What stands out is the
residual of ViM (arXiv 2203.10807 section 4.1); here as a share of the vector's length, so that it
needs no logits and has one scale for all networks.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Features = npt.NDArray[np.float32]

NOVELTY, SPACE = "novelty.json", "novelty.npy"
"""The files of a bundle that knows what is new to it."""

_LEAST = 1e-12
_MOST = 10.0
"""A picture that excites next to nothing would have a novelty without bound."""
Share = Annotated[float, Field(ge=0, le=1)]


class Novelty(BaseModel):
    """``novelty.json``: from when on a picture is unknown, and what that is worth."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    threshold: Annotated[
        float, Field(ge=0, le=_MOST, description="a larger novelty is reported as unknown")
    ]
    kept: Annotated[
        Share, Field(description="share of right validation answers that are not unknown")
    ]
    rejected: Annotated[
        dict[str, Share],
        Field(description="share of other pictures that are unknown, by kind", max_length=64),
    ]

    def __str__(self) -> str:
        rejected = [f"{100 * share:.1f} % of {kind}" for kind, share in self.rejected.items()]
        known = f"{100 * (1 - self.kept):.1f} % of the validation images that are answered rightly"
        return f"called unknown: {', '.join([*rejected, known])}"


@dataclass(frozen=True)
class FeatureSpace:
    """Where the features of known pictures lie.

    Attributes:
        center: (F,) ``float32``, their mean.
        axes: (D, F) ``float32``, orthonormal: the directions in which they vary most.
    """

    center: Features
    axes: Features

    def novelty(self, features: Features) -> Features:
        """Return (N,): the share of each vector's length that lies outside; features are (N, F)."""
        apart = features - self.center
        # A product a row: the threads of a whole one would go on spinning on the cores that the
        # next picture needs, and einsum takes twice as long.
        along = (self.axes[:, None, :] @ apart[:, None, :, None])[..., 0, 0]
        outside = np.square(apart).sum(axis=1) - np.square(along).sum(axis=1)
        length = np.maximum(np.square(features).sum(axis=1), _LEAST)
        share: Features = np.minimum(np.sqrt(np.maximum(outside, 0) / length), _MOST)
        return share

    def to_bytes(self) -> bytes:
        """Return ``novelty.npy``: the centre and the axes below it, ``float16``."""
        buffer = io.BytesIO()
        np.save(buffer, np.vstack([self.center, self.axes]).astype(np.float16), allow_pickle=False)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, size: int) -> FeatureSpace:
        """Read ``novelty.npy``.

        Args:
            data: The file.
            size: Length of a vector.

        Raises:
            ValueError: It is not what :meth:`to_bytes` writes.
        """
        rows = np.load(io.BytesIO(data), allow_pickle=False)
        if rows.dtype != np.float16 or rows.ndim != 2 or rows.shape[1] != size or len(rows) < 2:
            raise ValueError(f"rows of {rows.dtype} and shape {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("rows that are not finite")
        values = rows.astype(np.float32)
        return cls(values[0], values[1:])
