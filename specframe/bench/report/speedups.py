"""Speed-up bars: every contender against own autoregressive decoding and against transformers."""

from __future__ import annotations

from specframe.bench.report import comparison as parts
from specframe.bench.report.comparison import Comparison, ContenderName, Entry, Setting
from specframe.bench.report.figure import Figure, absent, drawing, mark
from specframe.bench.report.markup import EMPTY, Markup, join, label, line, tag, text
from specframe.bench.report.panels import folds, grid, legend, panel, swatch
from specframe.bench.report.scales import ticks
from specframe.bench.report.wording import MEAN, domain_name, fold, interval

__all__ = ["by_speed", "speedups"]

NAME, TITLE = "speedups", "Speed-ups"
OWN, LIBRARY = "speedup_vs_own_ar", "speedup_vs_transformers"
AGAINST = {OWN: "own autoregressive decoding", LIBRARY: "transformers' generate"}
ROW_HEIGHT, AXIS_HEIGHT = 42, 20
ROOM = 1.14  # of the longest bar, for the number after it
CUT = 2.0  # thin bars longer than this many wide ones are cut off, so that wide ones stay legible


def speedups(comparison: Comparison) -> Figure:
    """A bar per entry of the summary and baseline."""
    if not any(_known(entry) for entry in comparison.summary):
        return absent(NAME, TITLE, "No contender was measured against a baseline in this run.")
    caption = (
        "Decoded tokens per second relative to two baselines, measured alternately in the same "
        "process: own autoregressive decoding, which runs on the same engine, and transformers' "
        "generate. Whiskers are 95\N{NO-BREAK SPACE}% bootstrap intervals. Bars that end right of "
        "the line at 1× are faster than the baseline. A thin bar with an arrow is cut off."
    )
    body = join(_legend(), folds(comparison.settings, lambda s: _setting(comparison, s)))
    return Figure(NAME, TITLE, caption, body)


def by_speed(entries: list[Entry]) -> list[ContenderName]:
    """Contenders of the entries, the fastest first."""
    return list(map(parts.contender_of, sorted(entries, key=lambda entry: -(entry[OWN] or 0.0))))


def _known(entry: Entry) -> bool:
    return entry[OWN] is not None or entry[LIBRARY] is not None


def _legend() -> Markup:
    wide = tag("rect", x=-7, y=-4, width=14, height=8, class_="bar strategy")
    thin = tag("rect", x=-7, y=-2, width=14, height=4, class_="against")
    pale = tag("rect", x=-6.5, y=-4, width=13, height=8, class_="bar strategy unsure")
    return legend(
        swatch(wide, f"against {AGAINST[OWN]}"),
        swatch(thin, f"against {AGAINST[LIBRARY]}"),
        swatch(pale, "inconclusive: interval around 1 over ±4\N{NO-BREAK SPACE}%, or one prompt"),
    )


def _setting(comparison: Comparison, setting: Setting) -> Markup:
    order = by_speed(comparison.entries(setting, MEAN))
    entries = comparison.entries(setting)
    longest = _longest(entries) * ROOM
    if not longest:
        return EMPTY
    panels = []
    for domain in [MEAN, *comparison.domains]:
        found = {parts.contender_of(e): e for e in comparison.entries(setting, domain)}
        rows = [(contender, found[contender]) for contender in order if contender in found]
        heading = domain_name(domain)
        size = "wide" if domain == MEAN else ""
        panels.append(panel(heading, _bars(heading, rows, longest), size))
    return grid(panels)


def _longest(entries: list[Entry]) -> float:
    """The end of the longest bar that is not cut off, at least 1; 0 if nothing is drawn."""
    wide, thin = (
        max((entry[f"{key}_high"] for entry in entries if entry[key] is not None), default=0.0)
        for key in (OWN, LIBRARY)
    )
    if not wide:
        return max(thin, 1.0) if thin else 0.0
    return max(wide, 1.0, thin if thin <= CUT * wide else 0.0)


def _bars(heading: str, rows: list[tuple[ContenderName, Entry]], longest: float) -> Markup:
    height = len(rows) * ROW_HEIGHT + AXIS_HEIGHT
    lines = [_row(number, *row, longest) for number, row in enumerate(rows)]
    return drawing(
        f"Speed-ups, {heading}",
        "; ".join(f"{contender} {fold(entry[OWN])}" for contender, entry in rows),
        _axis(longest, height - AXIS_HEIGHT),
        *lines,
        class_="fluid",
        height=height,
    )


def _axis(longest: float, bottom: int) -> Markup:
    one = _place(1.0, longest)
    marks = [line((one, 0), (one, bottom), "one")]  # even without a tick there
    for value in ticks(0.0, longest / ROOM * 1.05):
        x = _place(value, longest)
        if value != 1.0:
            marks.append(line((x, 0), (x, bottom), "rule"))
        anchor = "start" if value == 0 else "middle"
        marks.append(label(f"{value:g}×", x, bottom + 14, anchor, class_="tick"))
    return tag("g", *marks, aria_hidden="true")


def _row(number: int, contender: ContenderName, entry: Entry, longest: float) -> Markup:
    top = number * ROW_HEIGHT
    baseline = contender.kind == "baseline"
    between = "" if baseline else f"{interval(entry, OWN)}  "
    doubt = " ?" if entry["inconclusive"] and not baseline else ""
    return join(
        label(contender, 0, top + 13, class_="name halo"),
        tag(
            "text",
            tag("tspan", text(between), class_="tick"),
            tag("tspan", text(f"{fold(entry[OWN])}{doubt}"), class_="value"),
            x="100%",
            y=top + 13,
            text_anchor="end",
            class_="halo",
        ),
        _bar(OWN, contender, entry, top + 18, longest),
        _bar(LIBRARY, contender, entry, top + 30, longest),
    )


def _bar(key: str, contender: ContenderName, entry: Entry, top: int, longest: float) -> Markup:
    value = entry[key]
    if value is None:
        return EMPTY
    own = key == OWN
    unsure = " unsure" if own and entry["inconclusive"] else ""
    thick = 9 if own else 4
    low, high = (_place(entry[f"{key}_{side}"], longest) for side in ("low", "high"))
    y = top + thick / 2
    behind = _place(max(value, entry[f"{key}_high"]), longest)
    cut = entry[f"{key}_high"] > longest
    whisker = [line((low, y), (high, y), "whisker")]
    whisker += [line((x, y - 3), (x, y + 3), "whisker") for x in (low, high)]
    return mark(
        NAME,
        f"{contender}, {entry['domain']}: {fold(value)} ({interval(entry, key)}) against "
        f"{AGAINST[key]}",
        tag(
            "rect",
            y=top,
            height=thick,
            width=_place(min(value, longest), longest),
            rx=1.5,
            class_=f"bar {contender.kind}{unsure}" if own else "against",
        ),
        *(() if cut else whisker),
        EMPTY if own or cut else label(fold(value), behind, top + 6, dx=5, class_="small"),
        label(f"{fold(value)} →", "100%", top + 6, "end", class_="small cover") if cut else EMPTY,
        class_=None,
        against=key.removeprefix("speedup_vs_"),
        **contender.facts,
        domain=entry["domain"],
        value=float(value),
    )


def _place(value: float, longest: float) -> str:
    """In percent, so that bars are scaled with the panel, but text is not."""
    return f"{100 * max(value, 0.0) / longest:.2f}%"
