"""Series that differ in colour and shape, for colour-blind readers and for print.

The colours (classes s0 ... s7 of the style sheet) are Okabe and Ito's, darker on light paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from specframe.bench.report.markup import Markup, tag

__all__ = ["curve", "series", "shape"]

COLOURS = 8
DASHES = (None, "6 3", "2 3", "8 3 2 3")


def series(number: int) -> str:
    """Class of a series; colours repeat after the last one, with other shapes."""
    return f"s{number % COLOURS}"


def curve(number: int, places: Iterable[tuple[float, float]]) -> Markup:
    """The line of a series; after the last colour the dashes change."""
    return tag(
        "polyline",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        class_=f"curve {series(number)}",
        stroke_dasharray=DASHES[number // COLOURS % len(DASHES)],
    )


def shape(number: int, x: float, y: float, size: float, **attributes: object) -> Markup:
    """The marker of a series; the numbers of shapes and of colours have no common factor."""
    return SHAPES[number % len(SHAPES)](x, y, size, **attributes)


def _circle(x: float, y: float, size: float, **attributes: object) -> Markup:
    return tag("circle", cx=x, cy=y, r=size, **attributes)


def _corners(*corners: tuple[float, float]) -> Callable[..., Markup]:
    """A polygon of the corners, given in sizes around the middle."""

    def draw(x: float, y: float, size: float, **attributes: object) -> Markup:
        points = " ".join(f"{x + size * dx:.2f},{y + size * dy:.2f}" for dx, dy in corners)
        return tag("polygon", points=points, **attributes)

    return draw


SHAPES: tuple[Callable[..., Markup], ...] = (
    _circle,
    _corners((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    _corners((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    _corners((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    _corners((0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    _corners(  # plus
        *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
        *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    ),
    _corners((-1.2, -0.5), (1.2, -0.5), (1.2, 0.5), (-1.2, 0.5)),
)
