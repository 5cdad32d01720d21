"""Training: recipe and data in, run folder out."""

from edge_fgir.training.hooks import Hook
from edge_fgir.training.loop import Training, train
from edge_fgir.training.recipe import Recipe, read_recipe

__all__ = ["Hook", "Recipe", "Training", "read_recipe", "train"]
