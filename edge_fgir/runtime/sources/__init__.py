"""Where frames come from: a camera, a network stream, a video file, a folder, or the app itself."""

from edge_fgir.runtime.sources.given import given_source
from edge_fgir.runtime.sources.opencv import import_cv2, quiet
from edge_fgir.runtime.sources.opening import open_source
from edge_fgir.runtime.sources.options import CameraOptions
from edge_fgir.runtime.sources.source import Source

__all__ = ["CameraOptions", "Source", "given_source", "import_cv2", "open_source", "quiet"]
