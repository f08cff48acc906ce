"""Figures of studies: bars or lines as the study defines, and all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from math import ceil, floor, log10
from typing import Any

from specframe.bench.report.cross_domain import STUDY
from specframe.bench.report.figure import Figure, drawing, mark
from specframe.bench.report.markup import EMPTY, Markup, join, tag, text
from specframe.bench.report.palette import curve, series, shape
from specframe.bench.report.panels import scroller, series_legend
from specframe.bench.report.plot import Frame
from specframe.bench.report.scales import span

__all__ = ["columns", "shown", "study_figures"]

Row = Mapping[str, Any]
Points = list[tuple[float, float]]
BAR_WIDTH, BAR_HEIGHT = 140.0, 12.0
WIDTH, HEIGHT = 460.0, 330.0


def study_figures(studies: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """A figure for each study with rows; the cross-domain study has a figure elsewhere."""
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


def _tables(rows: Sequence[Row], figure: str | None = None, bar: str | None = None) -> Markup:
    """All rows, a table for each kind of row; the values of column `bar` also get bars."""
    lengths = [abs(row[bar]) for row in rows if row.get(bar) is not None] if bar else []
    longest = max(lengths, default=0.0)
    alike = groupby(rows, columns)
    return join(*(_table(keys, list(found), figure, bar, longest) for keys, found in alike))


def columns(row: Row) -> tuple[str, ...]:
    """Keys of a study's row that a table shows."""
    return tuple(key for key, value in row.items() if not isinstance(value, list | dict))


def shown(value: object) -> str:
    """A value of a study's row in a table."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(
    keys: Sequence[str], rows: Sequence[Row], figure: str | None, bar: str | None, longest: float
) -> Markup:
    heads = (tag("th", text(key), scope="col", colspan=2 if key == bar else None) for key in keys)
    lines = (
        tag("tr", *(_cell(row[key], key == bar, longest) for key in keys), data_mark=figure)
        for row in rows
    )
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines))


def _cell(value: Any, drawn: bool, longest: float) -> Markup:
    cell = tag("td", text(shown(value)))
    if not drawn:
        return cell
    length = BAR_WIDTH * abs(value or 0.0) / longest if longest else 0.0
    bar = tag("rect", width=length, height=BAR_HEIGHT, class_="bar strategy")
    drawn_bar = tag("svg", bar, width=BAR_WIDTH, height=BAR_HEIGHT, aria_hidden="true")
    return join(cell, tag("td", drawn_bar))


def _plot(name: str, title: str, rows: Sequence[Row], shows: Mapping[str, Any]) -> Markup:
    log, own = bool(shows.get("log_x")), bool(shows.get("points"))
    labels = [", ".join(str(row.get(key)) for key in shows["series"]) for row in rows]
    known = [(name, _points(row, shows, log)) for name, row in zip(labels, rows, strict=True)]
    found = [(name, points) for name, points in known if points]
    if not found:
        return EMPTY
    every = [point for _, points in found for point in points]
    frame = Frame(span([x for x, _ in every]), span([y for _, y in every]), WIDTH, HEIGHT)
    names = list(dict.fromkeys(name for name, _ in found))
    curves = []
    if not own and shows.get("joined", True):
        for number, of in enumerate(names):
            joined = sorted(p for name, points in found if name == of for p in points)
            curves.append(_curve(number, joined, frame, shows))
    marks = [
        _mark(name, names.index(of), of, points, frame, shows if own else None)
        for of, points in found
    ]
    powers = _powers(*frame.across) if log else None
    drawn = drawing(
        title,
        "; ".join(f"{of}: last {points[-1][1]:.4g}" for of, points in found),
        frame.axes(str(shows["x"]), str(shows["y"]), x_names=powers),
        *curves,
        *marks,
        class_="plot",
        viewBox=frame.box,
    )
    return join(series_legend(names), drawn)


def _points(row: Row, shows: Mapping[str, Any], log: bool) -> Points:
    """A row's points with x as it is drawn; unknown values have none."""
    own = shows.get("points")
    pairs = row[own] if own else [(row.get(shows["x"]), row.get(shows["y"]))]
    known = [(float(x), float(y)) for x, y in pairs if x is not None and y is not None]
    return [(log10(x), y) for x, y in known if x > 0] if log else known


def _mark(
    name: str,
    number: int,
    of: str,
    points: Points,
    frame: Frame,
    shows: Mapping[str, Any] | None,
) -> Markup:
    """The points of one row, and their curve where `shows` says how it is drawn."""
    drawn = [] if shows is None else [_curve(number, points, frame, shows)]
    for x, y in points:
        drawn.append(shape(number, frame.x(x), frame.y(y), 3.0, class_=series(number)))
    return mark(name, f"{of}: {points[-1][1]:.4g}", *drawn, series=of)


def _curve(number: int, points: Points, frame: Frame, shows: Mapping[str, Any]) -> Markup:
    places = [(frame.x(x), frame.y(y)) for x, y in points]
    if shows.get("steps"):
        corners = [(right[0], left[1]) for left, right in pairwise(places)]
        places = [p for pair in zip(places, [*corners, places[-1]], strict=True) for p in pair]
    return curve(number, places)


def _powers(low: float, high: float) -> dict[float, str]:
    """Powers of ten within a range of logarithms; both ends if there are fewer than two."""
    whole = [float(power) for power in range(ceil(low), floor(high) + 1)]
    places = whole if len(whole) > 1 else [low, high]
    return {power: f"{10.0**power:.3g}" for power in places}
