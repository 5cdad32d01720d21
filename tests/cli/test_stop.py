"""How a camera command ends when it is asked to."""

import signal

import pytest

from edge_fgir.cli._stop import Stop

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _hears_ctrl_c():
    """Tests that a shell runs in the background are deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.unit
@pytest.mark.parametrize("number", BOTH)
def test_a_wait_ends_at_once(number):
    told = []
    with Stop.quietly():
        signal.raise_signal(number)
        told.append("never")
    assert not told


@pytest.mark.unit
@pytest.mark.parametrize("number", BOTH)
def test_what_belongs_together_is_told_whole(number):
    told = []
    with Stop.quietly() as stop:
        for frame in range(3):
            with stop.after():
                told.append(("printed", frame))
                if frame == 1:
                    signal.raise_signal(number)
                told.append(("counted", frame))
    assert told == [("printed", 0), ("counted", 0), ("printed", 1), ("counted", 1)]


@pytest.mark.unit
def test_a_second_signal_does_not_wait():
    told = []

    def insist():
        with Stop.quietly() as stop, stop.after():
            signal.raise_signal(signal.SIGTERM)
            told.append("one")
            signal.raise_signal(signal.SIGINT)
            told.append("two")

    with pytest.raises(KeyboardInterrupt):
        insist()
    assert told == ["one"]


@pytest.mark.unit
def test_an_error_comes_out_and_the_handlers_are_put_back():
    before = [signal.getsignal(number) for number in BOTH]

    def fail():
        with Stop.quietly() as stop, stop.after():
            signal.raise_signal(signal.SIGTERM)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [signal.getsignal(number) for number in BOTH] == before


@pytest.mark.unit
def test_a_background_job_stays_deaf_to_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = []
    with Stop.quietly():
        signal.raise_signal(signal.SIGINT)
        told.append("goes on")
    assert told
