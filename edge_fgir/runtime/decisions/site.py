"""What is known of a place and of its classes: a small file beside the bundle."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_fgir._errors import InputError
from edge_fgir._files import write_atomic
from edge_fgir._refusal import validated


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelInfo(_Part):
    """A class of the model, or a parent of classes (a genus, a family)."""

    name: Annotated[str | None, Field(description="shown to people; none: the label")] = None
    scientific_name: str | None = None
    parent: Annotated[str | None, Field(description="the group that it belongs to")] = None
    prior: Annotated[
        float,
        Field(gt=0, le=1e6, description="how many times as frequent here as in the training data"),
    ] = 1.0
    threshold: Annotated[
        float | None,
        Field(ge=0, le=1, description="least probability of an answer; none: the bundle's"),
    ] = None


class Site(_Part):
    """A site file (YAML): names, parents, priors, thresholds, and which classes occur.

    Example::

        labels:
          Nashville_Warbler: {name: Nashville warbler, parent: warbler, prior: 3}
          Magnolia_Warbler: {scientific_name: Setophaga magnolia, parent: warbler, threshold: 0.8}
        parents:
          warbler: {name: a warbler}
        deny: [Horned_Puffin]
    """

    labels: Annotated[dict[str, LabelInfo], Field(description="by class name")] = {}
    parents: Annotated[dict[str, LabelInfo], Field(description="groups of classes")] = {}
    allow: Annotated[
        tuple[str, ...] | None,
        Field(description="classes or parents that may be answered; none: all"),
    ] = None
    deny: Annotated[
        tuple[str, ...], Field(description="classes or parents that are never answered")
    ] = ()
    tie_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="children tie where the best has less than this share of their parent's "
            "probability",
        ),
    ] = 0.6

    @model_validator(mode="after")
    def _has_all_parents(self) -> Site:
        for name, info in (*self.labels.items(), *self.parents.items()):
            if info.parent is not None and info.parent not in self.parents:
                raise ValueError(f"{name} has the parent {info.parent}, which is not in parents")
            if name in self.ancestors(name):
                raise ValueError(f"{name} is its own ancestor")
        return self

    def info(self, name: str) -> LabelInfo:
        """Return what is known of a class or parent."""
        return self.labels.get(name) or self.parents.get(name) or LabelInfo()

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Return the parents of a class or parent, the nearest first."""
        found: list[str] = []
        parent = self.info(name).parent
        while parent is not None and parent not in found:
            found.append(parent)
            parent = self.info(parent).parent
        return tuple(found)

    def check(self, labels: Sequence[str]) -> None:
        """Raise InputError if it names a class or parent that is none of the model's ``labels``."""
        for name in self._named():
            if name not in labels and name not in self.parents:
                near = difflib.get_close_matches(name, [*labels, *self.parents], n=1)
                raise InputError(
                    f"the site names {name!r}, which the model does not know",
                    near[0] if near else "a class of labels.txt, or one of the site's parents",
                )

    def _named(self) -> Iterator[str]:
        yield from self.labels
        yield from self.allow or ()
        yield from self.deny

    @classmethod
    def read(cls, path: Path | str) -> Site:
        """Read a site file.

        Raises:
            InputError: It is missing, no mapping in YAML, or breaks a rule.
        """
        # An app without a site file does without a parser of YAML.
        from edge_fgir._yaml import read_yaml

        return validated(
            cls, read_yaml(Path(path)), path, "labels, parents, allow, deny, tie_share"
        )

    def write(self, path: Path) -> None:
        """Write it as a site file."""
        import yaml

        values = self.model_dump(mode="json", exclude_defaults=True)
        write_atomic(path, yaml.safe_dump(values, allow_unicode=True, sort_keys=False))
