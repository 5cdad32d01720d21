import re

import pytest

from edge_fgir._progress import progress

pytestmark = pytest.mark.unit


def test_steps_are_counted_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading birds", 2) as meter:
        meter.advance()
        meter.advance(note="one was grey")
    assert re.fullmatch(
        r"reading birds: 2/2, 0:00 elapsed, 0:00 left, one was grey\n", capsys.readouterr().err
    )


def test_work_inside_other_work_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("settings", 1) as outer:
        with progress("pictures", 3) as inner:
            inner.advance(3)
        outer.advance()
    with progress("afterwards", 1) as meter:
        meter.advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["settings", "afterwards"]


def test_after_an_error_the_next_work_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="no space left"), progress("fails", 1):
        raise OSError("no space left")
    with progress("afterwards", 1) as meter:
        meter.advance()
    assert capsys.readouterr().err.startswith("afterwards: 1/1")


def test_only_the_first_process_of_several_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with progress("reading birds", 1) as meter:
        meter.advance()
    assert capsys.readouterr().err == ""
