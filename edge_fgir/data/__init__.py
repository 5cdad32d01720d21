"""Data sets, splits and what turns pictures into batches. Torch only in ``loaders``."""

from edge_fgir.data.capture_time import captured_at
from edge_fgir.data.check import check_data
from edge_fgir.data.dataset import (
    SPLITS,
    DataSet,
    Sample,
    Split,
    draw_by_class,
    files_of,
    labels_of,
    prepared_images,
    typical_images,
)
from edge_fgir.data.excerpt import copy_excerpt
from edge_fgir.data.frigate_names import frigate_visits, is_frigates
from edge_fgir.data.listed import Listed, listed_data
from edge_fgir.data.packing import pack
from edge_fgir.data.reading import Reading, Skipped
from edge_fgir.data.sampling import Sampler
from edge_fgir.data.shards import shard_order
from edge_fgir.data.source import BUILT_IN, open_data
from edge_fgir.data.split import in_file_order, stratified
from edge_fgir.data.statistics import ClassSizes

__all__ = [
    "BUILT_IN",
    "SPLITS",
    "ClassSizes",
    "DataSet",
    "Listed",
    "Reading",
    "Sample",
    "Sampler",
    "Skipped",
    "Split",
    "captured_at",
    "check_data",
    "copy_excerpt",
    "draw_by_class",
    "files_of",
    "frigate_visits",
    "in_file_order",
    "is_frigates",
    "labels_of",
    "listed_data",
    "open_data",
    "pack",
    "prepared_images",
    "shard_order",
    "stratified",
    "typical_images",
]
