"""Where prompts lie in hidden space: PCA and t-SNE, a point per prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specframe.bench.report.comparison import Comparison
from specframe.bench.report.figure import Figure, absent, drawing, mark
from specframe.bench.report.markup import Markup, join, tag
from specframe.bench.report.palette import series, shape
from specframe.bench.report.panels import grid, panel, series_legend
from specframe.bench.report.scales import Scale, span

__all__ = ["hidden"]

NAME, TITLE = "hidden", "Where the prompts lie in hidden space"
PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE"}
WIDTH, HEIGHT, EDGE = 340.0, 260.0, 8.0
Vector = Mapping[str, Any]


def hidden(comparison: Comparison) -> Figure:
    """A point per prompt and projection."""
    vectors: Sequence[Vector] = comparison.results.get("vectors") or []
    drawn = [key for key in PROJECTIONS if any(vector.get(key) for vector in vectors)]
    if not drawn:
        return absent(NAME, TITLE, "This run has no hidden states of its prompts.")
    domains = list(dict.fromkeys(str(vector["domain"]) for vector in vectors))
    caption = (
        "Each point is a prompt, placed by the model's last hidden states: prompts with similar "
        "states are close. Nearest-neighbour lookup can work if domains form clusters."
    )
    panels = [panel(PROJECTIONS[key], _scatter(key, vectors, domains)) for key in drawn]
    return Figure(NAME, TITLE, caption, join(series_legend(domains), grid(panels, "pair")))


def _scatter(key: str, vectors: Sequence[Vector], domains: Sequence[str]) -> Markup:
    placed = [vector for vector in vectors if vector.get(key)]
    x = Scale(*span([vector[key][0] for vector in placed]), EDGE, WIDTH - EDGE)
    y = Scale(*span([vector[key][1] for vector in placed]), HEIGHT - EDGE, EDGE)
    points = []
    for vector in placed:
        at = x(vector[key][0]), y(vector[key][1])
        points.append(_point(key, vector, domains.index(str(vector["domain"])), at))
    return drawing(
        f"Prompts in hidden space, {PROJECTIONS[key]}",
        f"{len(placed)} prompts of {len(domains)} domains: {', '.join(domains)}",
        tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=HEIGHT - 1, class_="field"),
        *points,
        class_="plot",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
    )


def _point(key: str, vector: Vector, number: int, at: tuple[float, float]) -> Markup:
    name, domain = vector["prompt"], vector["domain"]
    drawn = shape(number, *at, 4.5, class_=series(number))
    return mark(NAME, f"{name} ({domain})", drawn, projection=key, prompt=name, domain=domain)
