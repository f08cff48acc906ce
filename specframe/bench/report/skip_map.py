"""Heat map of skip sets: which sublayers each strategy leaves out, by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specframe.bench.report.comparison import (
    Comparison,
    ContenderName,
    Entry,
    Setting,
    grouped,
)
from specframe.bench.report.figure import Figure, absent, drawing
from specframe.bench.report.markup import Markup, join, tag, text
from specframe.bench.report.panels import folds, grid, panel, scroller
from specframe.bench.report.wording import domain_name, percent, sublayer_name

__all__ = ["skip_map", "skip_shares"]

NAME, TITLE = "skips", "What is skipped"
KINDS = ("attention", "MLP")  # of even and odd sublayers
CELL, GAP, LETTER, HEADER = 14.0, 1.5, 6.4, 16.0
WIDTH, NARROWEST, WIDEST = 330.0, 9.0, 24.0  # of a map where cells allow it; of a cell


@dataclass(frozen=True, slots=True)
class _Strip:
    """One strategy in one domain: share of its drafting rounds in which a sublayer was skipped."""

    contender: ContenderName
    domain: str
    shares: Sequence[float] | None  # by sublayer; None where it never drafted


def skip_map(comparison: Comparison) -> Figure:
    """A cell a sublayer, for every strategy and domain that drafted."""
    if not any(row["skips"] for row in comparison.rows):
        return absent(NAME, TITLE, "No contender of this run drafted with sublayers skipped.")
    caption = (
        "Share of drafting rounds in which a sublayer was skipped, by strategy and domain: "
        "the stronger the colour, the more often. Columns are layers, the first at the left."
    )
    body = join(_ramp(), folds(comparison.settings, lambda s: _setting(comparison, s)))
    return Figure(NAME, TITLE, caption, body)


def skip_shares(rows: Sequence[Entry], sublayers: int) -> list[float] | None:
    """By sublayer, over all drafting rounds of the rows; None where there were none."""
    rounds = sum(round((row["drafting_share"] or 0.0) * (row["rounds"] or 0)) for row in rows)
    if not rounds:
        return None
    totals = [0] * sublayers
    for row in rows:
        for sublayer, times in row["skips"].items():
            totals[int(sublayer)] += times
    return [min(total / rounds, 1.0) for total in totals]


def sublayers_of(comparison: Comparison) -> int:
    """Of the model; of the highest one skipped where the results do not say."""
    model = comparison.results.get("model")
    layers = model.get("layers") if isinstance(model, Mapping) else None
    if isinstance(layers, int):
        return 2 * layers
    highest = max(int(sublayer) for row in comparison.rows for sublayer in row["skips"])
    return 2 * (highest // 2 + 1)


def _ramp() -> Markup:
    cells = (
        tag("rect", x=14 * step, width=13, height=10, class_="heat", fill_opacity=_ink(step / 4))
        for step in range(5)
    )
    bar = tag("svg", *cells, width=70, height=10, aria_hidden="true")
    return tag("p", text("never "), bar, text(" in every drafting round"), class_="legend")


def _setting(comparison: Comparison, setting: Setting) -> Markup:
    sublayers = sublayers_of(comparison)
    strips: dict[ContenderName, list[_Strip]] = {}
    for (where, contender, domain), rows in grouped(comparison.rows).items():
        if where == setting:
            strip = _Strip(contender, domain, skip_shares(rows, sublayers))
            strips.setdefault(contender, []).append(strip)
    drafted = [found for found in strips.values() if any(_skipped(strip) for strip in found)]
    return join(*(_contender(found, sublayers) for found in drafted))


def _skipped(strip: _Strip) -> bool:
    return strip.shares is not None and any(strip.shares)


def _contender(strips: Sequence[_Strip], sublayers: int) -> Markup:
    name = str(strips[0].contender)
    maps = (
        panel(kind, scroller(_map(name, strips, kind, sublayers), f"{name}, {kind}"))
        for kind in KINDS
    )
    return tag("div", tag("h4", text(name), class_="strategy"), grid(maps, "pair"), class_="block")


def _map(name: str, strips: Sequence[_Strip], kind: str, sublayers: int) -> Markup:
    margin = LETTER * max(len(domain_name(strip.domain)) for strip in strips) + 8
    cell = min(max((WIDTH - margin) / (sublayers / 2), NARROWEST), WIDEST)
    width = margin + cell * sublayers / 2
    height = HEADER + CELL * len(strips)
    lines = [
        _line(strip, kind, (margin, HEADER + CELL * number), cell)
        for number, strip in enumerate(strips)
    ]
    return drawing(
        f"{kind} sublayers skipped by {name}",
        "; ".join(_said(strip, kind) for strip in strips),
        _columns(margin, sublayers // 2, cell),
        *lines,
        class_="map",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{width:.0f}px;max-width:{1.5 * width:.0f}px",
    )


def _said(strip: _Strip, kind: str) -> str:
    if strip.shares is None:
        return f"{strip.domain}: did not draft"
    shares = strip.shares[KINDS.index(kind) :: 2]
    return f"{strip.domain}: {percent(sum(shares) / len(shares))} of the sublayers"


def _columns(margin: float, layers: int, cell: float) -> Markup:
    every = 4 if cell > NARROWEST else 8
    labels = (
        tag(
            "text",
            text(layer),
            x=margin + cell * layer + (cell - GAP) / 2,
            y=HEADER - 5,
            text_anchor="middle",
            class_="tick",
        )
        for layer in range(0, layers, every)
    )
    return tag("g", *labels, aria_hidden="true")


def _line(strip: _Strip, kind: str, at: tuple[float, float], cell: float) -> Markup:
    margin, top = at
    label = tag(
        "text",
        text(domain_name(strip.domain)),
        x=margin - 6,
        y=top + 10,
        text_anchor="end",
        class_="tick",
    )
    if strip.shares is None:
        note = tag("text", text("did not draft"), x=margin, y=top + 10, class_="tick faint")
        return join(label, note)
    first = KINDS.index(kind)
    cells = (
        _cell(strip, sublayer, (margin + cell * (sublayer // 2), top), cell - GAP)
        for sublayer in range(first, len(strip.shares), 2)
    )
    return join(label, *cells)


def _cell(strip: _Strip, sublayer: int, at: tuple[float, float], width: float) -> Markup:
    share = strip.shares[sublayer] if strip.shares is not None else 0.0
    return tag(
        "rect",
        tag("title", text(f"{strip.domain}, {sublayer_name(sublayer)}: {percent(share)}")),
        x=at[0],
        y=at[1],
        width=width,
        height=CELL - GAP,
        class_="heat",
        fill_opacity=_ink(share),
        data_mark=NAME,
        data_selector=strip.contender.selector,
        data_preset=strip.contender.preset,
        data_domain=strip.domain,
        data_sublayer=sublayer,
        data_value=share,
    )


def _ink(share: float) -> float:
    """Never nothing: an empty cell is a cell."""
    return 0.07 + 0.93 * share
