"""Pictures drawn with matplotlib, which is optional."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from specframe.errors import InvalidRequest
from specframe.storage.user_cache import write_bytes

__all__ = ["new_picture", "save_picture"]


def new_picture(width: float, height: float) -> Any:
    """An empty figure, in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidRequest(
            "A picture needs matplotlib. Run `pip install specframe[plot]`."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_picture(figure: Any, path: Path) -> None:
    """Write the figure in the format of the file's extension."""
    drawn = BytesIO()
    try:
        figure.savefig(drawn, format=path.suffix.removeprefix("."), dpi=130)
    except ValueError as error:
        raise InvalidRequest(
            f"The picture cannot be written to {str(path)!r}: {error}. Name a .png or .svg file."
        ) from error
    write_bytes(path, drawn.getvalue())
