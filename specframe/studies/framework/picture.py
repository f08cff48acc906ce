"""The picture of a study's rows, described by the study's `shows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specframe.errors import InvalidRequest
from specframe.storage.pictures import new_picture, save_picture

__all__ = ["draw_study"]


def draw_study(results: Mapping[str, Any], path: Path) -> None:
    """Write the picture; its format follows the file's ending."""
    shows = results["shows"]
    if shows is None:
        raise InvalidRequest(
            f"The study {results['study']!r} has no picture. Leave out --plot; the report has its "
            f"rows."
        )
    figure = new_picture(9, 4.8)
    axes = figure.subplots()
    draw = {"bars": _bars, "lines": _lines}[shows["kind"]]
    draw(axes, shows, results["rows"])
    axes.set_title(results["title"])
    save_picture(figure, path)


def _bars(axes: Any, shows: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    known = [row for row in rows if row.get(shows["value"]) is not None]
    names = [", ".join(str(row[key]) for key in shows["labels"]) for row in known]
    axes.barh(range(len(known)), [row[shows["value"]] for row in known])
    axes.set_yticks(range(len(known)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(shows["value"])


def _lines(axes: Any, shows: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        name = ", ".join(str(row.get(key)) for key in shows["series"])
        if shows["points"]:
            lines.setdefault(name, []).extend((x, y) for x, y in row[shows["points"]])
        elif row.get(shows["y"]) is not None:
            lines.setdefault(name, []).append((row[shows["x"]], row[shows["y"]]))
    for name, points in lines.items():
        x, y = zip(*sorted(points), strict=True) if points else ((), ())
        style = "steps-post" if shows["steps"] else "default"
        axes.plot(
            x,
            y,
            "o-" if shows.get("joined", True) else "o",
            markersize=3,
            drawstyle=style,
            label=name,
        )
    if shows["log_x"]:
        axes.set_xscale("log")
    axes.set_xlabel(shows["x"])
    axes.set_ylabel(shows["y"])
    axes.legend(fontsize=8)
