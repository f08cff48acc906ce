"""Predicted against measured tokens a second: a point an answer, a panel a contender."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.bench.report.comparison import Comparison, ContenderName, Entry, contender_of
from specframe.bench.report.figure import Figure, absent, drawing
from specframe.bench.report.markup import Markup, join, tag, text
from specframe.bench.report.palette import series, shape
from specframe.bench.report.panels import grid, panel, series_legend
from specframe.bench.report.plot import Frame

__all__ = ["prediction", "rates"]

NAME, TITLE = "prediction", "Predicted against measured"
SIZE = 210.0


def rates(row: Entry) -> tuple[float, float] | None:
    """Predicted and measured tokens a second of decoding; None where nothing was predicted."""
    predicted, measured = row["predicted_seconds"], row["decode_seconds"]
    if not predicted or not measured:
        return None
    tokens = max(row["new_tokens"] - 1, 1)
    return tokens / predicted, tokens / measured


def prediction(comparison: Comparison) -> Figure:
    """Points on the diagonal were predicted exactly."""
    points: dict[ContenderName, list[tuple[Entry, tuple[float, float]]]] = {}
    for row in comparison.rows:
        found = rates(row)
        if found is not None:
            points.setdefault(contender_of(row), []).append((row, found))
    if not points:
        return absent(NAME, TITLE, "No cost model predicted the rounds of this run.")
    caption = (
        "Each point is an answer: decoded tokens a second by the cost model, for the rounds that "
        "took place, against the clock. On the diagonal the model is exact."
    )
    highest = max(max(pair) for found in points.values() for _, pair in found)
    panels = [
        panel(str(contender), _points(contender, found, highest * 1.05, comparison.domains))
        for contender, found in points.items()
    ]
    body = join(series_legend(comparison.domains), grid(panels, "small"))
    return Figure(NAME, TITLE, caption, body)


def _points(
    contender: ContenderName,
    found: Sequence[tuple[Entry, tuple[float, float]]],
    highest: float,
    domains: Sequence[str],
) -> Markup:
    frame = Frame((0.0, highest), (0.0, highest), SIZE, SIZE)
    diagonal = tag(
        "line",
        x1=frame.x(0.0),
        y1=frame.y(0.0),
        x2=frame.x(highest),
        y2=frame.y(highest),
        class_="one",
    )
    points = (_point(row, pair, frame, domains.index(row["domain"])) for row, pair in found)
    return drawing(
        f"Predicted against measured tokens a second, {contender}",
        f"{len(found)} answers",
        frame.axes("measured", "predicted"),
        diagonal,
        *points,
        class_="plot",
        viewBox=frame.box,
    )


def _point(row: Entry, pair: tuple[float, float], frame: Frame, domain: int) -> Markup:
    predicted, measured = pair
    said = f"{row['prompt']}: predicted {predicted:.1f}, measured {measured:.1f} tokens a second"
    return tag(
        "g",
        tag("title", text(said)),
        shape(domain, frame.x(measured), frame.y(predicted), 3.0, class_=series(domain)),
        class_="point",
        data_mark=NAME,
        data_selector=row["selector"],
        data_prompt=row["prompt"],
        data_predicted=predicted,
        data_measured=measured,
    )
