"""Heat map of skip sets: which sublayers each strategy leaves out, by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specframe.bench.report import comparison as parts
from specframe.bench.report.comparison import Comparison, ContenderName, Entry, Setting
from specframe.bench.report.figure import Figure, absent, drawing
from specframe.bench.report.markup import Markup, join, label, tag, text
from specframe.bench.report.panels import folds, grid, panel, scroller
from specframe.bench.report.wording import domain_name, percent, sublayer_name

__all__ = ["skip_map", "skip_shares"]

NAME, TITLE = "skips", "What is skipped"
KINDS = ("attention", "MLP")  # of even and odd sublayers
CELL, GAP, LETTER, HEADER = 14.0, 1.5, 6.4, 16.0
WIDTH, NARROWEST, WIDEST = 330.0, 9.0, 24.0  # of a map where cells allow it; of a cell


# by domain: the share of drafting rounds that skipped each sublayer; None where nothing was drafted
Shares = Mapping[str, Sequence[float] | None]


def skip_map(comparison: Comparison) -> Figure:
    """A cell a sublayer, for every strategy and domain that drafted."""
    if not any(row["skips"] for row in comparison.rows):
        return absent(NAME, TITLE, "No contender of this run drafted with sublayers skipped.")
    caption = (
        "Share of drafting rounds in which a sublayer was skipped, by strategy and domain: "
        "the stronger the colour, the larger the share. Columns are layers, the first at the left."
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
    answers: dict[ContenderName, dict[str, list[Entry]]] = {}
    for row in comparison.rows:
        if parts.setting_of(row) == setting:
            by_domain = answers.setdefault(parts.contender_of(row), {})
            by_domain.setdefault(str(row["domain"]), []).append(row)
    sublayers = sublayers_of(comparison)
    blocks = []
    for contender, by_domain in answers.items():
        found = {domain: skip_shares(rows, sublayers) for domain, rows in by_domain.items()}
        if any(shares is not None and any(shares) for shares in found.values()):
            blocks.append(_contender(contender, found, sublayers))
    return join(*blocks)


def _contender(contender: ContenderName, found: Shares, sublayers: int) -> Markup:
    maps = (
        panel(kind, scroller(_map(contender, found, kind, sublayers), f"{contender}, {kind}"))
        for kind in KINDS
    )
    heading = tag("h4", text(contender), class_="strategy")
    return tag("div", heading, grid(maps, "pair"), class_="block")


def _map(contender: ContenderName, found: Shares, kind: str, sublayers: int) -> Markup:
    margin = LETTER * max(len(domain_name(domain)) for domain in found) + 8
    cell = min(max((WIDTH - margin) / (sublayers / 2), NARROWEST), WIDEST)
    width = margin + cell * sublayers / 2
    height = HEADER + CELL * len(found)
    every = 4 if cell > NARROWEST else 8
    columns = (
        label(layer, margin + cell * layer + (cell - GAP) / 2, HEADER - 5, "middle", class_="tick")
        for layer in range(0, sublayers // 2, every)
    )
    lines = (
        _line(contender, domain, shares, kind, (margin, HEADER + CELL * number), cell)
        for number, (domain, shares) in enumerate(found.items())
    )
    return drawing(
        f"{kind} sublayers skipped by {contender}",
        "; ".join(_said(domain, shares, kind) for domain, shares in found.items()),
        tag("g", *columns, aria_hidden="true"),
        *lines,
        class_="map",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{width:.0f}px;max-width:{1.5 * width:.0f}px",
    )


def _said(domain: str, shares: Sequence[float] | None, kind: str) -> str:
    if shares is None:
        return f"{domain}: did not draft"
    alike = shares[KINDS.index(kind) :: 2]
    return f"{domain}: {percent(sum(alike) / len(alike))} of the sublayers"


def _line(
    contender: ContenderName,
    domain: str,
    shares: Sequence[float] | None,
    kind: str,
    at: tuple[float, float],
    cell: float,
) -> Markup:
    margin, top = at
    name = label(domain_name(domain), margin - 6, top + 10, "end", class_="tick")
    if shares is None:
        return join(name, label("did not draft", margin, top + 10, class_="tick faint"))
    cells = (
        tag(
            "rect",
            tag("title", text(f"{domain}, {sublayer_name(i)}: {percent(shares[i])}")),
            x=margin + cell * (i // 2),
            y=top,
            width=cell - GAP,
            height=CELL - GAP,
            class_="heat",
            fill_opacity=_ink(shares[i]),
            data_mark=NAME,
            data_selector=contender.selector,
            data_preset=contender.preset,
            data_domain=domain,
            data_sublayer=i,
            data_value=shares[i],
        )
        for i in range(KINDS.index(kind), len(shares), 2)
    )
    return join(name, *cells)


def _ink(share: float) -> float:
    """Never 0: an empty cell remains visible."""
    return 0.07 + 0.93 * share
