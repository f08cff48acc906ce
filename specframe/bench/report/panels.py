"""How figures are laid out: settings behind folds, panels side by side, legends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from specframe.bench.report.comparison import Setting
from specframe.bench.report.markup import EMPTY, Markup, join, tag, text
from specframe.bench.report.palette import series, shape

__all__ = ["folds", "grid", "legend", "panel", "scroller", "series_legend", "swatch"]


def folds(settings: Sequence[Setting], draw: Callable[[Setting], Markup]) -> Markup:
    """A drawing per setting; several are foldable, with the first open."""
    drawn = [(setting, draw(setting)) for setting in settings]
    drawn = [(setting, body) for setting, body in drawn if body]
    if len(drawn) == 1:
        return drawn[0][1]
    return join(
        *(
            tag("details", tag("summary", text(setting)), body, open=None if number else "")
            for number, (setting, body) in enumerate(drawn)
        )
    )


def grid(panels: Iterable[Markup], size: str = "") -> Markup:
    """Panels side by side, or one below the other on narrow screens."""
    return tag("div", *panels, class_=f"grid {size}".strip())


def panel(heading: str, body: Markup, size: str = "") -> Markup:
    """One panel of a grid."""
    return tag("div", tag("h4", text(heading)), body, class_=f"panel {size}".strip())


def scroller(body: Markup, label: str) -> Markup:
    """A box that scrolls if its content is too wide, with the keyboard too."""
    return tag("div", body, class_="scroll", tabindex=0, role="region", aria_label=label)


def legend(*keys: Markup) -> Markup:
    """Keys in a line."""
    return tag("p", *keys, class_="legend")


def swatch(icon: Markup, label: str) -> Markup:
    """One key of a legend; the icon is drawn around the middle of 14 x 14."""
    drawn = tag("svg", icon, viewBox="-7 -7 14 14", width=14, height=14, aria_hidden="true")
    return tag("span", drawn, text(f" {label}"), class_="key")


def series_legend(names: Sequence[str]) -> Markup:
    """Colour and shape of every series."""
    if not names:
        return EMPTY
    keys = (
        swatch(shape(number, 0, 0, 4.5, class_=series(number)), name)
        for number, name in enumerate(names)
    )
    return legend(*keys)
