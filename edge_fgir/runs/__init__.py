"""Runs: what a training leaves behind, as one object that others open, load and evaluate."""

from edge_fgir.runs.data_record import DataChange, DataRecord
from edge_fgir.runs.description import ImportedFrom, TrainedModel
from edge_fgir.runs.predictor import RunPredictor
from edge_fgir.runs.recipe import FREE, LARGEST_SEED, RESUMABLE, Recipe, View, read_recipe
from edge_fgir.runs.run import ReadPictures, Run
from edge_fgir.runs.sections import (
    Classification,
    DataSection,
    ElasticSection,
    LengthSection,
    LossSection,
    OptimizerSection,
    TeacherSection,
)

__all__ = [
    "FREE",
    "LARGEST_SEED",
    "RESUMABLE",
    "Classification",
    "DataChange",
    "DataRecord",
    "DataSection",
    "ElasticSection",
    "ImportedFrom",
    "LengthSection",
    "LossSection",
    "OptimizerSection",
    "ReadPictures",
    "Recipe",
    "Run",
    "RunPredictor",
    "TeacherSection",
    "TrainedModel",
    "View",
    "read_recipe",
]
