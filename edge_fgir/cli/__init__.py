"""The command line: one file a command group; parse, call, print."""

from edge_fgir.cli import (
    bench,
    build,
    camera,
    data,
    devices,
    doctor,
    eval,
    export,
    models,
    predict,
    profile,
    rank,
    recipes,
    report,
    sweep,
    train,
    verify,
)
from edge_fgir.cli._app import app, main

__all__ = [
    "app",
    "bench",
    "build",
    "camera",
    "data",
    "devices",
    "doctor",
    "eval",
    "export",
    "main",
    "models",
    "predict",
    "profile",
    "rank",
    "recipes",
    "report",
    "sweep",
    "train",
    "verify",
]
