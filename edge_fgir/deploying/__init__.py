"""Deploying: exports for which a run may be trained on."""

from edge_fgir.deploying.qat import export_with_qat

__all__ = ["export_with_qat"]
