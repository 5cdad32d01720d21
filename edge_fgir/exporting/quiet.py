"""Libraries that log what no user can act on are kept quiet, for as long as they are called."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

Keep = Callable[[logging.LogRecord], bool]

_STDERR = 2


@contextmanager
def errors_only(*names: str) -> Iterator[None]:
    """Let the loggers of these names tell errors alone while the block runs.

    They get their levels back afterwards, as far as the block did not configure them itself.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def root_logger_filtered(keep: Keep) -> Iterator[None]:
    """Drop records of the root logger that ``keep`` refuses, while the block runs.

    A library that logs by ``logging.warning`` also gives the root logger a handler: it goes again.
    """
    root = logging.getLogger()
    handlers = root.handlers[:]
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)
        root.handlers[:] = handlers


@contextmanager
def silent() -> Iterator[None]:
    """Let nothing be printed or logged while the block runs: what fails is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), _native_silence():
            yield
    finally:
        logging.disable(before)


@contextmanager
def _native_silence() -> Iterator[None]:
    """Drop what compiled code writes to the process's own standard error."""
    kept = os.dup(_STDERR)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
