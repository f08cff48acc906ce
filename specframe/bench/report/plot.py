"""The frame of a plot of points or lines: axes, grid lines, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specframe.bench.report.markup import Markup, label, line, tag, text
from specframe.bench.report.scales import Scale, ticks

__all__ = ["Frame"]

LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 8.0, 34.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Ranges of both axes, and the size in pixels."""

    across: tuple[float, float]
    up: tuple[float, float]
    width: float
    height: float

    @property
    def x(self) -> Scale:
        """Horizontal positions of values."""
        return Scale(*self.across, LEFT, self.width - RIGHT)

    @property
    def y(self) -> Scale:
        """Vertical positions of values."""
        return Scale(*self.up, self.height - BOTTOM, TOP)

    @property
    def box(self) -> str:
        """Value of the SVG attribute viewBox."""
        return f"0 0 {self.width:g} {self.height:g}"

    def axes(
        self,
        x_label: str,
        y_label: str,
        x_ticks: list[float] | None = None,
        unit: str = "",
        x_names: Mapping[float, str] | None = None,
    ) -> Markup:
        """Grid lines, tick labels and axis labels; `unit` is of y."""
        lines = [self._across(value, unit) for value in ticks(*self.up, about=4)]
        if x_names is None:
            places = ticks(*self.across, 4) if x_ticks is None else x_ticks
            x_names = {value: f"{value:g}" for value in places}
        lines += [self._up(value, name) for value, name in x_names.items()]
        below = label(x_label, self.width - RIGHT, self.height - 4, "end")
        turned = f"rotate(-90) translate({-TOP:g} 9)"
        beside = tag("text", text(y_label), transform=turned, text_anchor="end")
        return tag("g", *lines, below, beside, class_="axes", aria_hidden="true")

    def _across(self, value: float, unit: str) -> Markup:
        y = self.y(value)
        name = label(f"{value:g}{unit}", LEFT - 5, y + 3.5, "end")
        return tag("g", line((LEFT, y), (self.width - RIGHT, y), "rule"), name, class_="tick")

    def _up(self, value: float, name: str) -> Markup:
        x, bottom = self.x(value), self.height - BOTTOM
        below = label(name, x, bottom + 14, "middle")
        return tag("g", line((x, TOP), (x, bottom), "rule"), below, class_="tick")
