"""Map of drafts: which sublayers each strategy skips or runs on low-bit weights, by domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from specframe.bench.report import comparison as parts
from specframe.bench.report.comparison import Comparison, ContenderName, Entry, Setting
from specframe.bench.report.figure import Figure, absent, drawing
from specframe.bench.report.markup import Markup, join, label, tag, text
from specframe.bench.report.panels import folds, grid, legend, panel, scroller
from specframe.bench.report.wording import domain_name, percent, sublayer_name

__all__ = ["shares_of", "skip_map"]

NAME, TITLE = "skips", "What is skipped or low-bit"
FILLS = {"heat": "skipped", "low": "on low-bit weights", "cell": "full weights"}  # by class
KINDS = ("attention", "MLP")  # of even and odd sublayers
CELL, GAP, LETTER, HEADER = 14.0, 1.5, 6.4, 16.0
WIDTH, NARROWEST, WIDEST = 330.0, 9.0, 24.0  # of a map where cells allow it; of a cell


# for each sublayer: the shares of drafting rounds that skipped it, and that ran it low-bit
States = Sequence[tuple[float, float]]
Shares = Mapping[str, States | None]  # by domain; None: no drafts


def skip_map(comparison: Comparison) -> Figure:
    """A cell per sublayer, for every strategy and domain that drafted."""
    if not any(row["skips"] or row.get("low") for row in comparison.rows):
        return absent(NAME, TITLE, "This run recorded no skipped and no low-bit sublayers.")
    caption = (
        "By strategy and domain: the share of drafting rounds in which a sublayer was skipped or "
        "ran on low-bit weights. A cell is filled up to this share. Columns are layers, with the "
        "first on the left."
    )
    body = join(_legend(), folds(comparison.settings, lambda s: _setting(comparison, s)))
    return Figure(NAME, TITLE, caption, body)


def shares_of(rows: Sequence[Entry], sublayers: int) -> States | None:
    """By sublayer, over all drafting rounds of the rows; None if there were none."""
    rounds = sum(round((row["drafting_share"] or 0.0) * (row["rounds"] or 0)) for row in rows)
    if not rounds:
        return None
    skipped, lowered = (_totals(rows, key, sublayers) for key in ("skips", "low"))
    return [
        (min(s / rounds, 1.0), min(low / rounds, 1.0))
        for s, low in zip(skipped, lowered, strict=True)
    ]


def _totals(rows: Sequence[Entry], key: str, sublayers: int) -> list[int]:
    totals = [0] * sublayers
    for row in rows:
        for sublayer, times in (row.get(key) or {}).items():
            totals[int(sublayer)] += times
    return totals


def sublayers_of(comparison: Comparison) -> int:
    """Number of sublayers of the model, or up to the highest one used if that is unknown."""
    model = comparison.results.get("model")
    layers = model.get("layers") if isinstance(model, Mapping) else None
    if isinstance(layers, int):
        return 2 * layers
    changed = [{**row["skips"], **(row.get("low") or {})} for row in comparison.rows]
    highest = max(int(sublayer) for sublayers in changed for sublayer in sublayers)
    return 2 * (highest // 2 + 1)


def _legend() -> Markup:
    keys = (
        tag(
            "span",
            tag("svg", tag("rect", width=12, height=12, class_=state), width=12, height=12),
            text(said),
            class_="key",
        )
        for state, said in FILLS.items()
    )
    return legend(*keys)


def _setting(comparison: Comparison, setting: Setting) -> Markup:
    answers: dict[ContenderName, dict[str, list[Entry]]] = {}
    for row in comparison.rows:
        if parts.setting_of(row) == setting:
            by_domain = answers.setdefault(parts.contender_of(row), {})
            by_domain.setdefault(str(row["domain"]), []).append(row)
    sublayers = sublayers_of(comparison)
    blocks = []
    for contender, by_domain in answers.items():
        found = {domain: shares_of(rows, sublayers) for domain, rows in by_domain.items()}
        if any(shares is not None and any(map(any, shares)) for shares in found.values()):
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
        f"{kind} sublayers skipped or on low-bit weights in drafts of {contender}",
        "; ".join(_said(domain, shares, kind) for domain, shares in found.items()),
        tag("g", *columns, aria_hidden="true"),
        *lines,
        class_="map",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{width:.0f}px;max-width:{1.5 * width:.0f}px",
    )


def _said(domain: str, shares: States | None, kind: str) -> str:
    if shares is None:
        return f"{domain}: did not draft"
    skipped, low = (fmean(of) for of in zip(*shares[KINDS.index(kind) :: 2], strict=True))
    return f"{domain}: {percent(skipped)} of the sublayers skipped, {percent(low)} low-bit"


def _line(
    contender: ContenderName,
    domain: str,
    shares: States | None,
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
            "g",
            tag("title", text(f"{domain}, {sublayer_name(i)}: {_states_said(shares[i])}")),
            _filled(margin + cell * (i // 2), top, cell - GAP, shares[i]),
            data_mark=NAME,
            data_selector=contender.selector,
            data_preset=contender.preset,
            data_domain=domain,
            data_sublayer=i,
            data_value=shares[i][0],
            data_low=shares[i][1],
        )
        for i in range(KINDS.index(kind), len(shares), 2)
    )
    return join(name, *cells)


def _states_said(states: tuple[float, float]) -> str:
    skipped, low = states
    return f"skipped {percent(skipped)}, low-bit {percent(low)}"


def _filled(x: float, top: float, width: float, states: tuple[float, float]) -> Markup:
    """A cell filled from below with the skipped share, then with the low-bit share."""
    room = CELL - GAP
    parts, bottom = [tag("rect", x=x, y=top, width=width, height=room, class_="cell")], top + room
    for state, share in zip(("heat", "low"), states, strict=True):
        height = room * share
        bottom -= height
        if share:
            parts.append(tag("rect", x=x, y=bottom, width=width, height=height, class_=state))
    return join(*parts)
