import pickle

import pytest

from edge_fgir._errors import EdgeFgirError, GateError, InputError, MissingExtraError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "error",
    [
        EdgeFgirError("the bench failed"),
        InputError("a.txt is empty", "a label a line", "write one"),
        MissingExtraError("nncf", "export", "quantizing"),
        GateError("gate 'int8' failed"),
    ],
)
def test_an_error_comes_out_of_a_worker_as_it_was(error: EdgeFgirError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert (str(found), found.exit_code) == (str(error), error.exit_code)
