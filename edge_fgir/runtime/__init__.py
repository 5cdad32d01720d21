"""The ground floor and the only part a device needs: bundles, preprocessing, runtimes, Classifier.

Imports numpy, Pillow and pydantic; a runtime's own library when it is used; never torch.
"""

from edge_fgir.runtime.bundle import Bundle, Calibration, Check, Golden, GoldenImage, is_bundle
from edge_fgir.runtime.classifier import Classifier, Result, Timing
from edge_fgir.runtime.frames import Frame
from edge_fgir.runtime.images import check_image, is_picture, read_image, to_rgb
from edge_fgir.runtime.manifest import Manifest
from edge_fgir.runtime.preprocess import Pixels, Preprocess, Region
from edge_fgir.runtime.runtimes import AUTO, Device, Engine, RuntimeSpec, find_runtime, open_engine
from edge_fgir.runtime.sources import Source, open_source
from edge_fgir.runtime.verify import verify

__all__ = [
    "AUTO",
    "Bundle",
    "Calibration",
    "Check",
    "Classifier",
    "Device",
    "Engine",
    "Frame",
    "Golden",
    "GoldenImage",
    "Manifest",
    "Pixels",
    "Preprocess",
    "Region",
    "Result",
    "RuntimeSpec",
    "Source",
    "Timing",
    "check_image",
    "find_runtime",
    "is_bundle",
    "is_picture",
    "open_engine",
    "open_source",
    "read_image",
    "to_rgb",
    "verify",
]
