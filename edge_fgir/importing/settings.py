"""What tensors do not tell: settings under the authors' own names, from the file or from the user.

A checkpoint's ``config`` fills those that it has; ``--set name=value`` comes before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from edge_fgir._errors import InputError
from edge_fgir._refusal import validated
from edge_fgir._yaml import parse_yaml
from edge_fgir.runtime import Normalization, Preprocess

_LARGEST = 4
_ENLARGED = 1.34
"""Side of the resized picture / side of its crop in the authors' training and test."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CUSTOM = {
    "cub": ((0.3659524, 0.42010019, 0.41562049), (0.07625843, 0.04599726, 0.06182727)),
}
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Settings(BaseModel):
    """Settings that every kind has; the names are the authors'."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    dataset_name: Annotated[str, Field(description="what was learned from")] = "unknown"
    image_size: Annotated[
        int | None, Field(ge=16, le=4096, description="side of the crop, pixels")
    ] = None
    resize_size: Annotated[
        int | None, Field(ge=16, le=8192, description="side before the crop; 1.34 times the crop's")
    ] = None
    test_resize_size: Annotated[
        int | None, Field(ge=16, le=8192, description="the same in a test, where it differs")
    ] = None
    test_resize_directly: Annotated[
        bool, Field(description="no crop: the picture is resized to image_size")
    ] = False
    custom_mean_std: Annotated[
        bool,
        Field(description="normalised by the data set's own figures or 0.5, not ImageNet's"),
    ] = False

    @property
    def side_set(self) -> int | None:
        """Side of the crop as the settings say it, pixels."""
        return self.image_size

    @property
    def enlarged(self) -> float:
        """Side before the crop / side of the crop, where the file does not say it."""
        return _ENLARGED

    def preprocess(self, side: int) -> Preprocess:
        """Return the authors' test pictures for a crop of ``side`` pixels.

        Raises:
            InputError: The crop is larger than the picture, or all but a speck of it.
        """
        before = self.test_resize_size or self.resize_size or int(self.enlarged * side)
        if not self.test_resize_directly and not side <= before < _LARGEST * side:
            raise InputError(
                f"pictures resized to {before} px before a crop of {side} px",
                f"at least {side} px, and fewer than {_LARGEST * side}",
                "add --set test_resize_size=",
            )
        share = 1.0 if self.test_resize_directly else side / before
        return Preprocess(size=side, kernel="bicubic", crop_fraction=share)

    def normalization(self) -> Normalization:
        """Return the mean and deviation that the authors' loader takes."""
        own = _CUSTOM.get(self.dataset_name, _HALF)
        mean, std = own if self.custom_mean_std else _IMAGENET
        return Normalization(mean=mean, std=std)

    def side(self, told: int | None, file: object) -> int:
        """Return the side that the tensors tell, or the one that is set.

        Raises:
            InputError: Neither says it, or they differ.
        """
        if None not in (told, self.side_set) and told != self.side_set:
            raise InputError(
                f"{file} with pictures of {self.side_set} px, while its tensors are of {told} px",
                f"{told} px",
                f"add --set image_size={told}, or leave it out",
            )
        if (side := told or self.side_set) is None:
            raise InputError(
                f"{file} does not say its image_size, and its tensors fit any",
                "the side of its pictures, pixels",
                "add --set image_size=448",
            )
        return side


_Kind = TypeVar("_Kind", bound=Settings)


def told(kind: type[_Kind], config: Mapping[str, Any], changes: Sequence[str]) -> _Kind:
    """Return the settings of a file's ``config``, changed by ``name=value`` texts.

    Raises:
        InputError: A change names no setting, or a value is not legal.
    """
    values = {name: config[name] for name in kind.model_fields if config.get(name) is not None}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in kind.model_fields:
            known = ", ".join(kind.model_fields)
            raise InputError(f"--set {change}", f"name=value, with a name of {known}")
        values[name] = parse_yaml(text, f"--set {change}")
    return validated(kind, values, "the checkpoint's settings", "a legal value", "add --set")
