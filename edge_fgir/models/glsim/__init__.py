"""GLSim (arXiv 2407.12891): a transformer looks again at what resembles the whole picture."""

from __future__ import annotations

from edge_fgir.models.glsim.checkpoints import make_glsim
from edge_fgir.models.glsim.model import GLSim, GLSimOutput
from edge_fgir.models.glsim.options import CropCls, GLSimOptions, SimMetric
from edge_fgir.models.glsim.selection import CropForm

__all__ = [
    "CropCls",
    "CropForm",
    "GLSim",
    "GLSimOptions",
    "GLSimOutput",
    "SimMetric",
    "make_glsim",
]
