"""The ground floor and the only part a device needs: bundles, preprocessing, runtimes, Classifier.

Imports numpy, Pillow and pydantic; a runtime's own library when it is used; never torch.
Each name is imported when it is first used: a camera app waits for what it needs alone.
"""

from typing import TYPE_CHECKING

from edge_fgir._lazy import lazy

if TYPE_CHECKING:
    from edge_fgir.runtime.bundle import Bundle, Calibration, Check, Golden, GoldenImage, is_bundle
    from edge_fgir.runtime.classifier import Classifier
    from edge_fgir.runtime.cores import usable_cores
    from edge_fgir.runtime.cubic_samples import sample_weights
    from edge_fgir.runtime.decisions import (
        Event,
        EventOptions,
        Judge,
        LabelInfo,
        Site,
        Tracker,
        Verdict,
    )
    from edge_fgir.runtime.device_sweep import sweep_devices
    from edge_fgir.runtime.engine_options import AUTO, Device, EngineOptions, FloatPrecision
    from edge_fgir.runtime.frames import Drop, Frame
    from edge_fgir.runtime.images import (
        READING,
        READING_KEY,
        check_image,
        read_exif,
        read_image,
        to_rgb,
    )
    from edge_fgir.runtime.junk import is_junk_folder
    from edge_fgir.runtime.looks import Hashes, look_hash
    from edge_fgir.runtime.manifest import (
        MANIFEST,
        SCHEMA_FAMILY,
        SIGNATURES,
        VARIANTS,
        DataInfo,
        ExplanationSpec,
        FeatureSpec,
        FormSpec,
        InputSpec,
        Manifest,
        Normalization,
        OriginInfo,
        OutputSpec,
        VariantSpec,
        variant_name,
    )
    from edge_fgir.runtime.novelty import NOVELTY, SPACE, Features, FeatureSpace, Novelty
    from edge_fgir.runtime.packing import check_out, pack, unpack
    from edge_fgir.runtime.page import page_entries, page_server
    from edge_fgir.runtime.picture_files import (
        ENDINGS,
        SUFFIXES,
        FoundPicture,
        Listing,
        find_pictures,
        format_of,
        is_picture,
        list_pictures,
        look_for_pictures,
        other_files,
        pictures_below,
    )
    from edge_fgir.runtime.precision import Precision, is_bfloat16, is_int8
    from edge_fgir.runtime.preprocess import PIL_KERNEL, Kernel, Pixels, Preprocess, Region
    from edge_fgir.runtime.result import Result, Timing
    from edge_fgir.runtime.runtimes import Engine, RuntimeSpec, find_runtime, open_engine
    from edge_fgir.runtime.signing import SigningKey
    from edge_fgir.runtime.sinks import Counters, Sink, open_sink
    from edge_fgir.runtime.sources import CameraOptions, Source, open_source
    from edge_fgir.runtime.targets import (
        TargetInfo,
        read_target_as,
        read_target_info,
        target_folder,
        target_names,
    )
    from edge_fgir.runtime.verification import verify
    from edge_fgir.runtime.video import VideoWriter, check_video_path, draw_result

__getattr__ = lazy(
    __name__,
    {
        "bundle": ("Bundle", "Calibration", "Check", "Golden", "GoldenImage", "is_bundle"),
        "classifier": ("Classifier",),
        "cores": ("usable_cores",),
        "decisions": (
            "Event",
            "EventOptions",
            "Judge",
            "LabelInfo",
            "Site",
            "Tracker",
            "Verdict",
        ),
        "device_sweep": ("sweep_devices",),
        "cubic_samples": ("sample_weights",),
        "engine_options": ("AUTO", "Device", "EngineOptions", "FloatPrecision"),
        "frames": ("Drop", "Frame"),
        "images": (
            "READING",
            "READING_KEY",
            "check_image",
            "read_exif",
            "read_image",
            "to_rgb",
        ),
        "junk": ("is_junk_folder",),
        "looks": ("Hashes", "look_hash"),
        "manifest": (
            "MANIFEST",
            "SCHEMA_FAMILY",
            "SIGNATURES",
            "DataInfo",
            "ExplanationSpec",
            "FeatureSpec",
            "FormSpec",
            "InputSpec",
            "Manifest",
            "Normalization",
            "OriginInfo",
            "OutputSpec",
            "VARIANTS",
            "VariantSpec",
            "variant_name",
        ),
        "novelty": ("NOVELTY", "SPACE", "FeatureSpace", "Features", "Novelty"),
        "packing": ("check_out", "pack", "unpack"),
        "page": ("page_entries", "page_server"),
        "picture_files": (
            "ENDINGS",
            "SUFFIXES",
            "FoundPicture",
            "Listing",
            "find_pictures",
            "format_of",
            "is_picture",
            "list_pictures",
            "look_for_pictures",
            "other_files",
            "pictures_below",
        ),
        "precision": ("Precision", "is_bfloat16", "is_int8"),
        "preprocess": ("PIL_KERNEL", "Kernel", "Pixels", "Preprocess", "Region"),
        "result": ("Result", "Timing"),
        "runtimes": ("Engine", "RuntimeSpec", "find_runtime", "open_engine"),
        "signing": ("SigningKey",),
        "sinks": ("Counters", "Sink", "open_sink"),
        "sources": ("CameraOptions", "Source", "open_source"),
        "targets": (
            "TargetInfo",
            "read_target_as",
            "read_target_info",
            "target_folder",
            "target_names",
        ),
        "verification": ("verify",),
        "video": ("VideoWriter", "check_video_path", "draw_result"),
    },
)

__all__ = [
    "AUTO",
    "ENDINGS",
    "MANIFEST",
    "NOVELTY",
    "PIL_KERNEL",
    "READING",
    "READING_KEY",
    "SCHEMA_FAMILY",
    "SIGNATURES",
    "SPACE",
    "SUFFIXES",
    "VARIANTS",
    "Bundle",
    "Calibration",
    "CameraOptions",
    "Check",
    "Classifier",
    "Counters",
    "DataInfo",
    "Device",
    "Drop",
    "Engine",
    "EngineOptions",
    "Event",
    "EventOptions",
    "ExplanationSpec",
    "FeatureSpace",
    "FeatureSpec",
    "Features",
    "FloatPrecision",
    "FormSpec",
    "FoundPicture",
    "Frame",
    "Golden",
    "GoldenImage",
    "Hashes",
    "InputSpec",
    "Judge",
    "Kernel",
    "LabelInfo",
    "Listing",
    "Manifest",
    "Normalization",
    "Novelty",
    "OriginInfo",
    "OutputSpec",
    "Pixels",
    "Precision",
    "Preprocess",
    "Region",
    "Result",
    "RuntimeSpec",
    "SigningKey",
    "Sink",
    "Site",
    "Source",
    "TargetInfo",
    "Timing",
    "Tracker",
    "VariantSpec",
    "Verdict",
    "VideoWriter",
    "check_image",
    "check_out",
    "check_video_path",
    "draw_result",
    "find_pictures",
    "find_runtime",
    "format_of",
    "is_bfloat16",
    "is_bundle",
    "is_int8",
    "is_junk_folder",
    "is_picture",
    "list_pictures",
    "look_for_pictures",
    "look_hash",
    "open_engine",
    "open_sink",
    "open_source",
    "other_files",
    "pack",
    "page_entries",
    "page_server",
    "pictures_below",
    "read_exif",
    "read_image",
    "read_target_as",
    "read_target_info",
    "sample_weights",
    "sweep_devices",
    "target_folder",
    "target_names",
    "to_rgb",
    "unpack",
    "usable_cores",
    "variant_name",
    "verify",
]
