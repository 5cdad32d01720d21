"""Training: recipes, CAL and TGDA, the loop, checkpoints."""

from edge_fgir.training.loop import train
from edge_fgir.training.recipe import Recipe, read_recipe

__all__ = ["Recipe", "read_recipe", "train"]
