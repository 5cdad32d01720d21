"""Model files, looked through before a library reads them: a sealed bundle may still be hostile.

A library opens far more than an export writes: weights in other files or at an address in memory,
functions, loops, other formats. What is not on the short list of what exports write is refused.
"""

from edge_fgir.runtime.formats.onnx_file import check_onnx
from edge_fgir.runtime.formats.openvino_ir import checked_ir
from edge_fgir.runtime.formats.tflite_file import check_tflite

__all__ = ["check_onnx", "check_tflite", "checked_ir"]
