import pytest

from edge_fgir.evaluation import class_difference

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("b", "a"), "they are the same in another order"),
        (("a", "c"), "it knows 2, the data has 2, 'c' is new to it, the data has no 'b'"),
        (("a",), "it knows 2, the data has 1, the data has no 'b'"),
        (("a", "b", "c"), "it knows 2, the data has 3, 'c' is new to it"),
    ],
)
def test_a_difference_of_classes_is_named(classes: tuple[str, ...], said: str) -> None:
    assert class_difference(("a", "b"), classes) == said
