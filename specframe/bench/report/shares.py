"""Shares of decoding time: selection, drafting, verification and the remainder, stacked."""

from __future__ import annotations

from specframe.bench.report.comparison import Comparison, Entry, Setting, contender_of
from specframe.bench.report.figure import Figure, absent, drawing, mark
from specframe.bench.report.markup import EMPTY, Markup, join, label, tag
from specframe.bench.report.panels import folds, legend, swatch
from specframe.bench.report.speedups import by_speed
from specframe.bench.report.wording import MEAN, percent

__all__ = ["shares"]

NAME, TITLE = "shares", "Where the time goes"
PARTS = ("selection", "draft", "verify", "other")
ROW_HEIGHT = 40
LEGIBLE = 0.09  # narrower segments are too small for their number


def shares(comparison: Comparison) -> Figure:
    """A bar per mean entry of the summary with known shares."""
    if not any(_known(entry) for entry in comparison.summary if entry["domain"] == MEAN):
        return absent(NAME, TITLE, "No contender of this run reports shares of its decoding time.")
    caption = (
        "Shares of decoding time, mean of the domains. Selection is the time for choosing the "
        "skip set: capture, pooling, lookup, planning and learning. transformers reports no "
        "shares."
    )
    keys = (
        swatch(tag("rect", x=-6, y=-6, width=12, height=12, class_=f"part {part}"), part)
        for part in PARTS
    )
    body = join(legend(*keys), folds(comparison.settings, lambda s: _setting(comparison, s)))
    return Figure(NAME, TITLE, caption, body)


def _known(entry: Entry) -> bool:
    return all(entry[f"{part}_share"] is not None for part in PARTS)


def _setting(comparison: Comparison, setting: Setting) -> Markup:
    means = [entry for entry in comparison.entries(setting, MEAN) if _known(entry)]
    if not means:
        return EMPTY
    found = {contender_of(entry): entry for entry in means}
    bars = [_bar(found[name], number * ROW_HEIGHT) for number, name in enumerate(by_speed(means))]
    return drawing(
        "Shares of decoding time",
        "; ".join(f"{contender_of(entry)}: {_sentence(entry)}" for entry in means),
        *bars,
        class_="fluid",
        height=len(bars) * ROW_HEIGHT,
    )


def _sentence(entry: Entry) -> str:
    return ", ".join(f"{part} {percent(entry[f'{part}_share'], 1)}" for part in PARTS)


def _bar(entry: Entry, top: int) -> Markup:
    contender = contender_of(entry)
    segments, start = [], 0.0
    for part in PARTS:
        share = max(entry[f"{part}_share"], 0.0)
        segments.append(_segment(part, start, share, top + 18))
        start += share
    selection = f"selection {percent(entry['selection_share'], 2)}"
    return mark(
        NAME,
        f"{contender}: {_sentence(entry)}",
        label(contender, 0, top + 13, class_="name"),
        label(selection, "100%", top + 13, "end", class_="tick"),
        *segments,
        class_=None,
        **contender.facts,
        value=float(entry["selection_share"]),
    )


def _segment(part: str, start: float, share: float, top: int) -> Markup:
    bar = tag(
        "rect",
        x=f"{100 * start:.2f}%",
        y=top,
        width=f"{100 * share:.2f}%",
        height=15,
        class_=f"part {part}",
        data_part=part,
    )
    if share < LEGIBLE:
        return bar
    middle = f"{100 * (start + share / 2):.2f}%"
    return join(bar, label(percent(share), middle, top + 11.5, "middle", class_=f"on {part}"))
