"""Lines of a file that a user wrote, each with its number there."""

from __future__ import annotations

from pathlib import Path

from specframe.errors import InvalidRequest

__all__ = ["numbered_lines"]


def numbered_lines(path: Path, remedy: str) -> list[tuple[int, str]]:
    """All that are not blank; `remedy` says what to name instead of a file that cannot be read."""
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except OSError as error:
        raise InvalidRequest(
            f"The prompts {str(path)!r} cannot be read: {error.strerror}. {remedy}"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidRequest(
            f"{path}, line {line}: not UTF-8 ({error.reason}). Save the file as UTF-8."
        ) from error
    return [(n, line.rstrip("\r")) for n, line in enumerate(lines, start=1) if line.strip()]
