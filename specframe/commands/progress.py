"""Progress of long steps, on standard error."""

from __future__ import annotations

from time import perf_counter

__all__ = ["Progress"]

EVERY = 5.0  # seconds between lines, if standard error is no terminal


class Progress:
    """Rewrites one line on a terminal; otherwise prints a line every few seconds."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._what, self._first = "", 0
        self._began = self._shown = perf_counter()

    def __call__(self, what: str, done: int, of: int) -> None:
        now = perf_counter()
        if what != self._what:
            self._what, self._began, self._first = what, now, done
        passed = now - self._began
        line = f"{what}: {done} of {of}"
        if done > self._first:
            line += f", {passed / (done - self._first) * (of - done):.0f} s left"
        if self._console.is_terminal:
            self._console.print(f"{line:<78}", end="\r", highlight=False)
        elif now - self._shown > EVERY or done == of:
            self._console.print(line, highlight=False)
            self._shown = now

    def end(self) -> None:
        """Clear the line."""
        if self._console.is_terminal:
            self._console.print(" " * 78, end="\r")
