"""HTML and SVG as text; whatever comes from outside goes through `text`."""

from __future__ import annotations

from html import escape
from typing import NewType

__all__ = ["EMPTY", "Markup", "join", "tag", "text"]

Markup = NewType("Markup", str)
EMPTY = Markup("")
VOID = frozenset({"br", "circle", "col", "line", "meta", "path", "polygon", "polyline", "rect"})


def text(value: object) -> Markup:
    """Anything, shown as it is."""
    return Markup(escape(str(value)))


def join(*parts: Markup) -> Markup:
    """One after the other."""
    return Markup("".join(parts))


def tag(name: str, *children: Markup, **attributes: object) -> Markup:
    """An element; `class_` is class, `stroke_width` is stroke-width, None is left out."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = "".join(children)
    if name in VOID and not content:
        return Markup(
            f"<{name}{shown}/>" if name not in ("br", "col", "meta") else f"<{name}{shown}>"
        )
    return Markup(f"<{name}{shown}>{content}</{name}>")


def _plain(value: object) -> str:
    """Figures are rounded: a page has no use for the tenth digit."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
