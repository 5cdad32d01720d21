"""What a user is told when an input is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_fgir import InputError


def refusal(action: Callable[[], object]) -> str:
    """Return the one line that an action is refused with."""
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert caught.value.exit_code == 2
    return text
