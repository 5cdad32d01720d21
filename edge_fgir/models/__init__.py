"""Networks and their arithmetic. Importing this package registers our networks with timm."""

from __future__ import annotations

from edge_fgir.models import animesion, lrnet, vitfs
from edge_fgir.models.arithmetic import (
    CONVENTION,
    BlockTokens,
    ModelSummary,
    count_params,
    summarize,
)
from edge_fgir.models.backbone import own_side, weights_tag
from edge_fgir.models.batch_norm import freeze_norms, reestimate
from edge_fgir.models.cal import CAL, CALOutput, bilinear_attention_pool, full_inference
from edge_fgir.models.cam import class_activation_maps
from edge_fgir.models.folding import folded
from edge_fgir.models.inference import (
    device_name,
    logits_of,
    normalized,
    normalized_batches,
    on_gpu,
)
from edge_fgir.models.logit_adjustment import adjustment, best_tau, log_prior, with_adjustment
from edge_fgir.models.lrnet import LRNet
from edge_fgir.models.network import Network
from edge_fgir.models.regions import crop_and_resize, crop_boxes, hot_region
from edge_fgir.models.setting import Setting
from edge_fgir.models.vitfs import ViTFS
from edge_fgir.models.weights import LITE0, PACKAGED, UNREADABLE
from edge_fgir.models.wrapper import Wrapper, as_wrapper

OWN_MODELS = (*lrnet.CONFIGS, *vitfs.CONFIGS)
"""Names of our networks at timm."""

GROUPS = {"ours": OWN_MODELS, "animesion": animesion.MODELS}
"""Names of networks that belong together."""

__all__ = [
    "CAL",
    "CONVENTION",
    "GROUPS",
    "LITE0",
    "OWN_MODELS",
    "PACKAGED",
    "UNREADABLE",
    "BlockTokens",
    "CALOutput",
    "LRNet",
    "ModelSummary",
    "Network",
    "Setting",
    "ViTFS",
    "Wrapper",
    "adjustment",
    "as_wrapper",
    "best_tau",
    "bilinear_attention_pool",
    "class_activation_maps",
    "count_params",
    "crop_and_resize",
    "crop_boxes",
    "device_name",
    "folded",
    "freeze_norms",
    "full_inference",
    "hot_region",
    "log_prior",
    "logits_of",
    "normalized",
    "normalized_batches",
    "on_gpu",
    "own_side",
    "reestimate",
    "summarize",
    "weights_tag",
    "with_adjustment",
]
