"""Predicted and measured tokens per second: a point per answer, a panel per contender."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.bench.report.comparison import Comparison, ContenderName, Entry, contender_of
from specframe.bench.report.figure import Figure, absent, drawing, mark
from specframe.bench.report.markup import Markup, join, line
from specframe.bench.report.palette import series, shape
from specframe.bench.report.panels import grid, panel, series_legend
from specframe.bench.report.plot import Frame

__all__ = ["prediction"]

NAME, TITLE = "prediction", "Predicted against measured"
SIZE = 210.0
Point = tuple[Entry, float, float]  # an answer, its predicted and its measured tokens per second


def prediction(comparison: Comparison) -> Figure:
    """Points on the diagonal were predicted exactly."""
    points: dict[ContenderName, list[Point]] = {}
    for row in comparison.rows:
        predicted, measured = row["predicted_seconds"], row["decode_seconds"]
        if predicted and measured:
            tokens = max(row["new_tokens"] - 1, 1)
            point = row, tokens / predicted, tokens / measured
            points.setdefault(contender_of(row), []).append(point)
    if not points:
        return absent(NAME, TITLE, "This run has no predicted times.")
    caption = (
        "Each point is an answer: the tokens per second that the cost model predicts for its "
        "rounds, and those measured. On the diagonal both are equal."
    )
    highest = max(max(pair) for found in points.values() for _, *pair in found)
    panels = [
        panel(str(contender), _points(contender, found, highest * 1.05, comparison.domains))
        for contender, found in points.items()
    ]
    body = join(series_legend(comparison.domains), grid(panels, "small"))
    return Figure(NAME, TITLE, caption, body)


def _points(
    contender: ContenderName, found: Sequence[Point], highest: float, domains: Sequence[str]
) -> Markup:
    frame = Frame((0.0, highest), (0.0, highest), SIZE, SIZE)
    corners = [(frame.x(value), frame.y(value)) for value in (0.0, highest)]
    return drawing(
        f"Predicted and measured tokens per second, {contender}",
        f"{len(found)} answers",
        frame.axes("measured", "predicted"),
        line(corners[0], corners[1], "one"),
        *(_point(point, frame, domains.index(point[0]["domain"])) for point in found),
        class_="plot",
        viewBox=frame.box,
    )


def _point(point: Point, frame: Frame, domain: int) -> Markup:
    row, predicted, measured = point
    return mark(
        NAME,
        f"{row['prompt']}: predicted {predicted:.1f}, measured {measured:.1f} tokens per second",
        shape(domain, frame.x(measured), frame.y(predicted), 3.0, class_=series(domain)),
        selector=row["selector"],
        prompt=row["prompt"],
        predicted=predicted,
        measured=measured,
    )
