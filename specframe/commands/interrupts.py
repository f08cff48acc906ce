"""What Ctrl-C does: one line, exit status 130, and how to go on where something is kept."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["INTERRUPTED", "Interruptible", "ending_imports", "resumable"]

INTERRUPTED = 130
IMPORTS = "<frozen importlib"  # how the code of the import system names its file


class Interruptible(TyperGroup):
    """Commands that can be interrupted: one line says so, and what `resumable` added."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            _tell(str(error))
            raise typer.Exit(INTERRUPTED) from error


@contextmanager
def resumable(kept: Path, how: str) -> Iterator[None]:
    """Add to what an interrupt tells how to go on, where something is kept by then."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not kept.exists():
            raise
        raise KeyboardInterrupt(f"What is finished is kept; {how}") from error


@contextmanager
def ending_imports() -> Iterator[None]:
    """Let an interrupt end the process at once while something is imported.

    Libraries that are imported in part raise anything afterwards, and nothing is being written.
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
        _tell("")
        os._exit(INTERRUPTED)
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORTS):
            return True
        frame = frame.f_back
    return False


def _tell(how: str) -> None:
    start = "\n" if sys.stderr.isatty() else ""  # after what was being written, and ^C
    typer.echo(f"{start}Interrupted. {how}".rstrip(), err=True)
