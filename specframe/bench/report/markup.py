"""HTML and SVG as text; content from results goes through `text`, which escapes it."""

from __future__ import annotations

from html import escape
from typing import NewType

__all__ = ["EMPTY", "Markup", "join", "label", "line", "tag", "text"]

Markup = NewType("Markup", str)
EMPTY = Markup("")
VOID = frozenset({"circle", "line", "polygon", "polyline", "rect"})


def text(value: object) -> Markup:
    """Any value as escaped text."""
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
        return Markup(f"<{name}{shown}/>")
    return Markup(f"<{name}{shown}>{content}</{name}>")


def label(value: object, x: object, y: float, anchor: str | None = None, **rest: object) -> Markup:
    """Text in a drawing."""
    return tag("text", text(value), x=x, y=y, text_anchor=anchor, **rest)


def line(from_: tuple[object, float], to: tuple[object, float], class_: str) -> Markup:
    """A straight line between two places (x, y) of a drawing."""
    return tag("line", x1=from_[0], x2=to[0], y1=from_[1], y2=to[1], class_=class_)


def _plain(value: object) -> str:
    """Floats are rounded to four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
