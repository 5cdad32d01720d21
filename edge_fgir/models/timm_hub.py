"""The hub from which timm fetches weights, asked once before timm asks it again and again."""

from __future__ import annotations

import timm
from huggingface_hub import HfApi, try_to_load_from_cache

_FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm fetches, one or the other."""
_PATIENCE_S = 20.0


def check_hub(name: str) -> None:
    """Ask the hub for the repository of a network's weights, unless they are kept here.

    timm asks six times for each file, with pauses in between: most of a minute behind a proxy that
    does not answer.

    Args:
        name: A timm name.

    Raises:
        Exception: Of huggingface_hub or its HTTP library: there is no answer.
    """
    repository = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if not repository:
        return
    if any(isinstance(try_to_load_from_cache(repository, file), str) for file in _FILES):
        return
    HfApi(library_name="timm").model_info(repository, timeout=_PATIENCE_S)
