"""What Ctrl-C does: one line, exit status 130, and how to resume if results were saved."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

__all__ = ["INTERRUPTED", "ending_imports", "resumable", "tell_interrupted"]

INTERRUPTED = 130
IMPORTS = "<frozen importlib"  # file name of the code of the import system


def tell_interrupted(how: str) -> None:
    """Print that the command was interrupted; `how` says how to resume."""
    start = "\n" if sys.stderr.isatty() else ""  # ^C is shown on the current line
    sys.stderr.write(f"{start}Interrupted. {how}".rstrip() + "\n")
    sys.stderr.flush()


@contextmanager
def resumable(kept: Path, how: str) -> Iterator[None]:
    """Add to the message of an interrupt how to resume, if `kept` exists by then."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not kept.exists():
            raise
        raise KeyboardInterrupt(f"Finished work is saved; {how}") from error


@contextmanager
def ending_imports() -> Iterator[None]:
    """An interrupt ends the process at once while something is imported.

    Libraries that are partly imported may raise any error afterwards, and nothing is being written.
    """
    usual = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _interrupted(number: int, frame: FrameType | None) -> None:
    if _imports(frame):
        tell_interrupted("")
        os._exit(INTERRUPTED)
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORTS):
            return True
        frame = frame.f_back
    return False
