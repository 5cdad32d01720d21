"""A bundle behind HTTP: upload a picture, get its answer. FastAPI, when it is used."""

from typing import TYPE_CHECKING

from edge_fgir._lazy import lazy

if TYPE_CHECKING:
    from edge_fgir.serving.options import ServeOptions
    from edge_fgir.serving.server import listening, run_server
    from edge_fgir.serving.service import make_app

__getattr__ = lazy(
    __name__,
    {
        "options": ("ServeOptions",),
        "server": ("listening", "run_server"),
        "service": ("make_app",),
    },
)

__all__ = ["ServeOptions", "listening", "make_app", "run_server"]
