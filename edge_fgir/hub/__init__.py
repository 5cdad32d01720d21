"""Bundles on a hub of models (Hugging Face's, or another that speaks as it does), when asked."""

from edge_fgir.hub.repository import pull, push

__all__ = ["pull", "push"]
