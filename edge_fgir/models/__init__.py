"""Networks and their arithmetic. Importing this registers ours with timm."""

from __future__ import annotations

from edge_fgir.models import animesion, lrnet, vitfs
from edge_fgir.models.arithmetic import BlockTokens, ModelSummary, count_params, summarize
from edge_fgir.models.cal import CAL, CALOutput, bilinear_attention_pool, full_inference
from edge_fgir.models.cam import class_activation_maps
from edge_fgir.models.lrnet import LRNet
from edge_fgir.models.network import Network
from edge_fgir.models.vitfs import ViTFS
from edge_fgir.models.weights import LITE0
from edge_fgir.models.wrapper import Wrapper, as_wrapper

OWN_MODELS = (*lrnet.CONFIGS, *vitfs.CONFIGS)
"""Our networks, by the names that they are registered under with timm."""

GROUPS = {"ours": OWN_MODELS, "animesion": animesion.MODELS}
"""Lists of networks that belong together."""

__all__ = [
    "CAL",
    "GROUPS",
    "LITE0",
    "OWN_MODELS",
    "BlockTokens",
    "CALOutput",
    "LRNet",
    "ModelSummary",
    "Network",
    "ViTFS",
    "Wrapper",
    "as_wrapper",
    "bilinear_attention_pool",
    "class_activation_maps",
    "count_params",
    "full_inference",
    "summarize",
]
