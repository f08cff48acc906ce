"""A figure of the report: drawing and caption, or the reason why it is missing."""

from __future__ import annotations

from dataclasses import dataclass

from specframe.bench.report.markup import EMPTY, Markup, tag, text

__all__ = ["Figure", "absent", "drawing", "mark"]

MARK = "data-mark="


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; every drawn mark carries `data-mark` with the figure's name."""

    name: str
    title: str
    caption: str
    body: Markup = EMPTY
    missing: str = ""  # why there is nothing to draw

    @property
    def marks(self) -> int:
        """Number of marks: one per entry of the results in the figure."""
        return self.body.count(MARK)

    def html(self, prefix: str) -> Markup:
        """The figure with its heading; ids start with the prefix."""
        shown = tag("p", text(self.missing), class_="missing") if self.missing else self.body
        return tag(
            "figure",
            tag("h3", text(self.title)),
            EMPTY if self.missing else tag("figcaption", text(self.caption)),
            shown,
            id=f"{prefix}{self.name}",
            data_figure=self.name,
            data_marks=self.marks,
        )


def absent(name: str, title: str, why: str) -> Figure:
    """A figure whose data are not in the results."""
    return Figure(name, title, "", missing=why)


def mark(
    figure: str, said: str, *children: Markup, class_: str | None = "point", **facts: object
) -> Markup:
    """One entry of the results in a figure; `said` is its tooltip."""
    data = {f"data_{name}": value for name, value in facts.items()}
    title = tag("title", text(said))
    return tag("g", title, *children, class_=class_, data_mark=figure, **data)


def drawing(title: str, description: str, *children: Markup, **attributes: object) -> Markup:
    """An SVG with a text alternative."""
    return tag(
        "svg",
        tag("title", text(title)),
        tag("desc", text(description)),
        *children,
        role="img",
        aria_label=f"{title}. {description}",
        **attributes,
    )
