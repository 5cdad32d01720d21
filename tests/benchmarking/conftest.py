from __future__ import annotations

import pytest
from fake_machine import Machine


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path / "machine")
