"""What OpenVINO's Model API is told of a model: in ``rt_info`` and ONNX ``metadata_props``."""

from __future__ import annotations

from collections.abc import Sequence

from edge_fgir.runtime import Preprocess


def model_api_metadata(preprocess: Preprocess, labels: Sequence[str]) -> dict[str, str]:
    """Return the metadata that lets Model API prepare pictures by itself.

    Model API stretches a picture to the model's input, linearly and without antialiasing. Where
    the model's own preprocessing cuts out the centre, there is no word for it: the type of the
    model is then left out, without which Model API opens nothing, rather than show the model other
    pixels in silence. Bicubic and antialiased resizing are stretched linearly by it.
    """
    entries = {
        # The list is joined by spaces, so a space inside a label must go.
        "labels": " ".join(label.replace(" ", "_") for label in labels),
        "reverse_input_channels": "YES",
        "mean_values": "0 0 0",
        "scale_values": "1 1 1",
        "input_dtype": "u8",
    }
    if preprocess.crop_fraction == 1:
        entries |= {"model_type": "Classification", "resize_type": "standard"}
    return entries
