"""The cross-domain matrix: skip sets of one domain on prompts of another.

The study's `rows` hold `skips_of`, `domain`, `speedup_vs_own_ar` and, with several, `strategy`.
"""

from __future__ import annotations

from collections.abc import Sequence

from specframe.bench.report.comparison import Comparison, Entry
from specframe.bench.report.figure import Figure, absent, drawing, mark
from specframe.bench.report.markup import Markup, label, tag, text
from specframe.bench.report.panels import grid, panel, scroller
from specframe.bench.report.wording import fold

__all__ = ["STUDY", "cross_domain"]

STUDY = "cross-domain"
NAME, TITLE = "cross-domain", "A skip set on other domains"
KEY = "speedup_vs_own_ar"
CELL_WIDTH, CELL_HEIGHT, LETTER, HEADER = 54.0, 26.0, 6.4, 46.0
INK = 0.45  # opacity of the fastest cell; text stays legible in light and dark


def cross_domain(comparison: Comparison) -> Figure:
    """A cell per row of the study."""
    study = comparison.of_study(STUDY) or {}
    rows = [row for row in study.get("rows") or [] if row.get(KEY) is not None]
    if not rows:
        return absent(NAME, TITLE, "The study was not run. Add it: specframe study cross-domain.")
    caption = (
        "Speed-up over autoregressive decoding on the same engine, with the skip set found for "
        "one domain (row) on prompts of another (column). On the diagonal both are the same "
        "domain. A pale cell means that the skip set gives a small speed-up on that domain."
    )
    by_strategy: dict[str, list[Entry]] = {}
    for row in rows:
        by_strategy.setdefault(str(row.get("selector", "")), []).append(row)
    panels = [panel(name, _matrix(name, found)) for name, found in by_strategy.items()]
    return Figure(NAME, TITLE, caption, grid(panels, "pair"))


def _matrix(name: str, rows: Sequence[Entry]) -> Markup:
    sources = list(dict.fromkeys(str(row["skips_of"]) for row in rows))
    domains = list(dict.fromkeys(str(row["domain"]) for row in rows))
    margin = LETTER * max(len(source) for source in sources) + 10
    width = margin + CELL_WIDTH * len(domains)
    height = HEADER + CELL_HEIGHT * len(sources)
    highest, lowest = max(row[KEY] for row in rows), min(row[KEY] for row in rows)
    cells = []
    for row in rows:
        x = margin + CELL_WIDTH * domains.index(str(row["domain"]))
        y = HEADER + CELL_HEIGHT * sources.index(str(row["skips_of"]))
        cells.append(_cell(row, (x, y), (row[KEY] - lowest) / max(highest - lowest, 1e-9)))
    drawn = drawing(
        f"Speed-ups across domains {name}".strip(),
        "; ".join(f"{row['skips_of']} on {row['domain']}: {fold(row[KEY])}" for row in rows),
        _labels(sources, domains, margin),
        *cells,
        class_="map",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{width:.0f}px;max-width:{1.4 * width:.0f}px",
    )
    return scroller(drawn, "Cross-domain matrix")


def _labels(sources: Sequence[str], domains: Sequence[str], margin: float) -> Markup:
    left, top = margin + 0.35 * CELL_WIDTH, HEADER - 5
    tops = (
        tag(
            "text",
            text(domain),
            transform=f"translate({left + CELL_WIDTH * number:g} {top:g}) rotate(-28)",
            class_="tick",
        )
        for number, domain in enumerate(domains)
    )
    sides = (
        label(source, margin - 7, HEADER + CELL_HEIGHT * (number + 0.62), "end", class_="tick")
        for number, source in enumerate(sources)
    )
    return tag("g", *tops, *sides, aria_hidden="true")


def _cell(row: Entry, at: tuple[float, float], rank: float) -> Markup:
    x, y = at
    source, domain, speed = row["skips_of"], row["domain"], fold(row[KEY])
    return mark(
        NAME,
        f"skips of {source} on {domain}: {speed}",
        tag(
            "rect",
            x=x,
            y=y,
            width=CELL_WIDTH - 2,
            height=CELL_HEIGHT - 2,
            class_="heat home" if source == domain else "heat",
            fill_opacity=0.05 + INK * rank,
        ),
        label(speed, x + CELL_WIDTH / 2 - 1, y + CELL_HEIGHT * 0.61, "middle"),
        class_=None,
        skips_of=source,
        domain=domain,
        value=float(row[KEY]),
    )
