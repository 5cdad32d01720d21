"""What libraries print and log while they are called."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from edge_fgir.exporting.quiet import silent

pytestmark = pytest.mark.unit


def _speak() -> None:
    sys.stdout.write("printed\n")
    sys.stderr.write("written\n")
    logging.getLogger("library").error("logged")
    os.write(2, b"by compiled code\n")


def test_silence_covers_python_and_compiled_code(capfd: pytest.CaptureFixture[str]) -> None:
    with silent():
        _speak()

    assert capfd.readouterr() == ("", "")


def test_after_silence_all_are_heard_again(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="failed"), silent():
        raise ValueError("failed")
    _speak()

    heard = capfd.readouterr()
    assert heard.out == "printed\n"
    assert "written\n" in heard.err
    assert "by compiled code\n" in heard.err
