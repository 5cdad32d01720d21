"""What pydantic refuses is one line that says where, what and what else."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_fgir._refusal import refused, refused_option

pytestmark = pytest.mark.unit


class Stage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate: Annotated[float, Field(gt=0)] = 1.0


class Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stages: tuple[Stage, ...] = ()
    last: Stage | None = None
    rows: Annotated[int, Field(alias="list")] = 0

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        if self.rows == 7:
            raise ValueError("list is 7")
        return self


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stages": [{}, {"rate": -1}]}, "f: stages.1.rate: Input should be greater than 0; ex"),
        ({"stages": [{"rat": 1}]}, "f has an unknown key stages.0.rat; expected rate"),
        ({"last": {"x": 1}}, "f has an unknown key last.x; expected rate"),
        ({"lists": 1}, "f has an unknown key lists; expected list"),
        ({"zzz": 1}, "f has an unknown key zzz; expected stages or last or list"),
        ({"list": 7}, "f: list is 7; expected a plan; make one"),
    ],
)
def test_a_file_is_refused_by_its_first_broken_rule(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Plan.model_validate(values)
    assert str(refused(caught.value, "f", "a plan", "make one", kind=Plan)).startswith(said)


def test_an_option_is_refused_with_its_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Stage(rate=-1)
    said = "stage: rate -1; expected greater than 0"
    assert str(refused_option(caught.value, "stage")) == said
