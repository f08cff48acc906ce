"""Speed-up by context length: a line per contender."""

from __future__ import annotations

from collections.abc import Sequence

from specframe.bench.report.comparison import Comparison, ContenderName, Entry, contender_of
from specframe.bench.report.figure import Figure, absent, drawing, mark
from specframe.bench.report.markup import Markup, join, line
from specframe.bench.report.palette import curve, series, shape
from specframe.bench.report.panels import grid, panel, series_legend
from specframe.bench.report.plot import Frame
from specframe.bench.report.scales import span
from specframe.bench.report.wording import MEAN, fold, interval

__all__ = ["contexts"]

NAME, TITLE = "contexts", "Speed-up against context"
KEY = "speedup_vs_own_ar"
WIDTH, HEIGHT = 360.0, 290.0


def contexts(comparison: Comparison) -> Figure:
    """A point per mean entry of the summary, if there are several contexts."""
    entries = [e for e in comparison.summary if e["domain"] == MEAN and e[KEY] is not None]
    lengths = sorted({entry["context"] for entry in entries})
    if len(lengths) < 2:
        return absent(NAME, TITLE, "This run has only one context length.")
    ordered = sorted(entries, key=lambda entry: -entry[KEY])
    names = list(dict.fromkeys(contender_of(entry) for entry in ordered))
    caption = (
        "Speed-up over autoregressive decoding on the same engine, mean of the domains, for each "
        "requested prompt length (0: prompts as they come). Whiskers are 95\N{NO-BREAK SPACE}% "
        "intervals."
    )
    by_temperature: dict[float, list[Entry]] = {}
    for entry in entries:
        by_temperature.setdefault(entry["temperature"], []).append(entry)
    panels = [
        panel(f"temperature {warmth:g}" if warmth else "greedy", _lines(found, names, lengths))
        for warmth, found in by_temperature.items()
    ]
    body = join(series_legend([str(name) for name in names]), grid(panels, "pair"))
    return Figure(NAME, TITLE, caption, body)


def _lines(
    entries: Sequence[Entry], names: Sequence[ContenderName], lengths: Sequence[int]
) -> Markup:
    ends = [entry[f"{KEY}_{side}"] for entry in entries for side in ("low", "high")]
    margin = 0.06 * (lengths[-1] - lengths[0])
    across = (lengths[0] - margin, lengths[-1] + margin)
    frame = Frame(across, span([*ends, 1.0]), WIDTH, HEIGHT)
    y = frame.y(1.0)
    curves = (
        _curve(number, [e for e in entries if contender_of(e) == name], frame)
        for number, name in enumerate(names)
    )
    return drawing(
        "Speed-up over autoregressive decoding by context",
        "; ".join(f"{contender_of(e)} at {e['context']}: {fold(e[KEY])}" for e in entries),
        frame.axes("tokens of context", "speed-up", [float(v) for v in lengths], unit="×"),
        line((frame.x(across[0]), y), (frame.x(across[1]), y), "one"),
        *curves,
        class_="plot",
        viewBox=frame.box,
    )


def _curve(number: int, entries: Sequence[Entry], frame: Frame) -> Markup:
    ordered = sorted(entries, key=lambda entry: entry["context"])
    places = [(frame.x(entry["context"]), frame.y(entry[KEY])) for entry in ordered]
    points = (_point(number, entry, at, frame) for entry, at in zip(ordered, places, strict=True))
    return join(curve(number, places), *points)


def _point(number: int, entry: Entry, at: tuple[float, float], frame: Frame) -> Markup:
    x, y = at
    low, high = (frame.y(entry[f"{KEY}_{side}"]) for side in ("low", "high"))
    contender, context = contender_of(entry), entry["context"]
    return mark(
        NAME,
        f"{contender}, context {context}: {fold(entry[KEY])} ({interval(entry, KEY)})",
        line((x, low), (x, high), f"range {series(number)}"),
        shape(number, x, y, 4.0, class_=series(number)),
        **contender.facts,
        context=context,
        value=float(entry[KEY]),
    )
