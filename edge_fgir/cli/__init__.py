"""The command line: one file a command group; parse, call, print."""

from edge_fgir.cli import camera, predict, verify
from edge_fgir.cli._app import app, main

__all__ = ["app", "camera", "main", "predict", "verify"]
