"""Ctrl-C for child processes of a test."""

import signal


def hears_interrupts() -> None:
    """Undo what a shell's background job and pytest-xdist hand down; for ``preexec_fn``."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
