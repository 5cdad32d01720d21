"""How training's pictures, which are of a teacher's size, become the student's input."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edge_fgir.runtime import Preprocess


def to_student_size(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Resample (B, 3, S, S) to the side of ``preprocess`` by the kernel that evaluation has.

    Antialiased where evaluation is. The paper samples its views by a cubic kernel without antialias
    in training and test alike (arXiv 2507.12157, docs/science/tgda.md#pictures): ``view_size``.
    """
    size = preprocess.size
    if images.shape[-1] == size:
        return images
    sampled = preprocess.view_size is not None
    return F.interpolate(
        images,
        (size, size),
        mode="bicubic" if sampled else preprocess.kernel,
        align_corners=False,
        antialias=preprocess.antialias and not sampled,
    )
