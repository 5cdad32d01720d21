"""The methods of token reduction: each module here declares one as its ``METHOD``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from edge_fgir.models.reduction.method import register

for _module in iter_modules(__path__):
    register(import_module(f"{__name__}.{_module.name}").METHOD)
