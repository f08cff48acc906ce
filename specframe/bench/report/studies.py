"""Studies that have no figure of their own: bars or lines as the study asks, and all its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from math import ceil, floor, log10
from typing import Any

from specframe.bench.report.cross_domain import STUDY
from specframe.bench.report.figure import Figure, drawing
from specframe.bench.report.markup import EMPTY, Markup, join, tag, text
from specframe.bench.report.palette import COLOURS, DASHES, series, shape
from specframe.bench.report.panels import scroller, series_legend
from specframe.bench.report.plot import Frame
from specframe.bench.report.scales import span

__all__ = ["study_figures"]

Row = Mapping[str, Any]
Points = list[tuple[float, float]]
BAR_WIDTH, BAR_HEIGHT = 140.0, 12.0
WIDTH, HEIGHT = 460.0, 330.0


def study_figures(studies: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """A figure a study that has rows; its `title`, `text` and `answer` say what it shows."""
    return [
        _figure(f"study-{name}", study)
        for name, study in studies.items()
        if name != STUDY and study.get("rows")
    ]


def _figure(name: str, study: Mapping[str, Any]) -> Figure:
    rows: Sequence[Row] = study["rows"]
    shows = study.get("shows") or {}
    title = str(study.get("title") or name)
    caption = " ".join(str(study[key]) for key in ("text", "answer") if study.get(key))
    if shows.get("kind") != "lines":
        body = scroller(_tables(rows, name, shows.get("value")), title)
        return Figure(name, title, caption or "All rows of the study.", body)
    every = tag("details", tag("summary", text("All rows")), scroller(_tables(rows), title))
    return Figure(name, title, caption, join(_plot(name, title, rows, shows), every))


def _tables(rows: Sequence[Row], mark: str | None = None, bar: str | None = None) -> Markup:
    """All rows, a table for each kind of them; the column `bar` is drawn beside its figures."""
    lengths = [abs(row[bar]) for row in rows if row.get(bar) is not None] if bar else []
    longest = max(lengths, default=0.0)
    return join(
        *(_table(keys, list(alike), mark, bar, longest) for keys, alike in groupby(rows, _columns))
    )


def _columns(row: Row) -> tuple[str, ...]:
    return tuple(key for key, value in row.items() if not isinstance(value, list | dict))


def _table(
    keys: Sequence[str], rows: Sequence[Row], mark: str | None, bar: str | None, longest: float
) -> Markup:
    heads = (tag("th", text(key), scope="col", colspan=2 if key == bar else None) for key in keys)
    lines = (
        tag("tr", *(_cell(row[key], key == bar, longest) for key in keys), data_mark=mark)
        for row in rows
    )
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines))


def _cell(value: Any, drawn: bool, longest: float) -> Markup:
    cell = tag("td", text(_shown(value)))
    if not drawn:
        return cell
    length = BAR_WIDTH * abs(value or 0.0) / longest if longest else 0.0
    bar = tag("rect", width=length, height=BAR_HEIGHT, class_="bar strategy")
    return join(
        cell, tag("td", tag("svg", bar, width=BAR_WIDTH, height=BAR_HEIGHT, aria_hidden="true"))
    )


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plot(name: str, title: str, rows: Sequence[Row], shows: Mapping[str, Any]) -> Markup:
    log = bool(shows.get("log_x"))
    named = [(", ".join(str(row[key]) for key in shows["series"]), row) for row in rows]
    found = [(label, points) for label, row in named if (points := _points(row, shows, log))]
    if not found:
        return EMPTY
    every = [point for _, points in found for point in points]
    frame = Frame(span([x for x, _ in every]), span([y for _, y in every]), WIDTH, HEIGHT)
    labels = list(dict.fromkeys(label for label, _ in found))
    marks = [
        _mark(name, labels.index(label), label, points, frame, shows) for label, points in found
    ]
    joined = (
        []
        if shows.get("points") or not shows.get("joined", True)
        else [
            _curve(
                number,
                sorted(p for label, points in found if label == own for p in points),
                frame,
                shows,
            )
            for number, own in enumerate(labels)
        ]
    )
    axes = frame.axes(
        str(shows["x"]), str(shows["y"]), x_names=_powers(*frame.across) if log else None
    )
    drawn = drawing(
        title,
        "; ".join(f"{label}: last {points[-1][1]:.4g}" for label, points in found),
        axes,
        *joined,
        *marks,
        class_="plot",
        viewBox=frame.box,
    )
    return join(series_legend(labels), drawn)


def _points(row: Row, shows: Mapping[str, Any], log: bool) -> Points:
    """A row's points with x as it is drawn; unknown values have none."""
    own = (
        row[shows["points"]]
        if shows.get("points")
        else [(row.get(shows["x"]), row.get(shows["y"]))]
    )
    known = [(float(x), float(y)) for x, y in own if x is not None and y is not None]
    return [(log10(x), y) for x, y in known if x > 0] if log else known


def _mark(
    name: str, number: int, label: str, points: Points, frame: Frame, shows: Mapping[str, Any]
) -> Markup:
    """What one row is drawn as: its points, and their curve where the row has one of its own."""
    curve = _curve(number, points, frame, shows) if shows.get("points") else EMPTY
    dots = (shape(number, frame.x(x), frame.y(y), 3.0, class_=series(number)) for x, y in points)
    said = tag("title", text(f"{label}: {points[-1][1]:.4g}"))
    return tag("g", said, curve, *dots, class_="point", data_mark=name, data_series=label)


def _curve(number: int, points: Points, frame: Frame, shows: Mapping[str, Any]) -> Markup:
    places = [(frame.x(x), frame.y(y)) for x, y in points]
    if shows.get("steps"):
        corners = [(right[0], left[1]) for left, right in pairwise(places)]
        places = [p for pair in zip(places, [*corners, places[-1]], strict=True) for p in pair]
    return tag(
        "polyline",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        class_=f"curve {series(number)}",
        stroke_dasharray=DASHES[number // COLOURS % len(DASHES)],
    )


def _powers(low: float, high: float) -> dict[float, str]:
    """Powers of ten within a range of logarithms; both ends where there are fewer than two."""
    whole = [float(power) for power in range(ceil(low), floor(high) + 1)]
    places = whole if len(whole) > 1 else [low, high]
    return {power: f"{10.0**power:.3g}" for power in places}
