"""The mean speed-ups of a run as one small drawing, for a README or a slide."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from specframe.bench.report.comparison import Comparison, Entry, contender_of, machine
from specframe.bench.report.markup import EMPTY, Markup, join, label, line, tag, text
from specframe.bench.report.wording import MEAN, fold, interval, plural
from specframe.errors import InvalidRequest

__all__ = ["speedup_picture"]

KEY = "speedup_vs_own_ar"
BARS, VALUES, ROW, TOP = 230.0, 128.0, 26.0, 56.0  # narrow: it is read on phones too
LETTER = 7.6  # of a name, at most
TRAINED = {"testbed": " (trained to be skippable)", "smollm2": " (not trained for it)"}
RELATIVE = "tokens per second relative to autoregressive decoding"
STYLE = """
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1c1e21 }
.title { font-weight: 600; font-size: 14px } .soft, .soft tspan { fill: #5a6068; font-size: 12px }
.strategy { fill: #0b5cad } .baseline { fill: #44484e } .library { fill: #9a9da3 }
.whisker { stroke: #1c1e21; stroke-width: 1.5 } .one { stroke: #5a6068; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e8e8e4 } .soft, .soft tspan { fill: #a3a9b2 } .strategy { fill: #6fb3f2 }
  .baseline { fill: #c4c8ce } .library { fill: #83888f }
  .whisker { stroke: #e8e8e4 } .one { stroke: #a3a9b2 }
}
"""


def speedup_picture(comparison: Comparison) -> str:
    """An SVG of the first setting: a bar per contender, fastest first; models side by side."""
    models = [comparison] if comparison.real is None else [comparison, comparison.real]
    panels = [_panel(one) for one in models]
    lefts = list(accumulate((panel.width for panel in panels), initial=0.0))
    return tag(
        "svg",
        tag("style", Markup(STYLE)),
        tag("title", text("; ".join(panel.title for panel in panels))),
        *(
            tag("g", panel.drawing, transform=f"translate({left:g} 0)")
            for left, panel in zip(lefts, panels, strict=False)
        ),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {lefts[-1]:g} {max(panel.height for panel in panels):g}",
        role="img",
    )


class _Panel(NamedTuple):
    """One model's bars."""

    title: str
    drawing: Markup
    width: float
    height: float


def _panel(comparison: Comparison) -> _Panel:
    first = comparison.settings[:1]  # a run of studies alone has none
    entries = [entry for setting in first for entry in comparison.entries(setting, MEAN)]
    means = [entry for entry in entries if entry[KEY] is not None]
    if not means:
        raise InvalidRequest(
            f"The run {comparison.name!r} measured nothing against autoregressive decoding. Name "
            f"a run of `specframe bench`."
        )
    ordered = sorted(means, key=lambda entry: -entry[KEY])
    names = LETTER * max(len(str(contender_of(entry))) for entry in ordered) + 16
    scale = BARS / max(1.0, *(entry[f"{KEY}_high"] for entry in ordered))
    bottom = TOP + ROW * len(ordered)
    one = names + scale
    model = comparison.model or "a model"
    drawn = join(
        label(f"Speed on {model}{TRAINED.get(model, '')}", 8, 20, class_="title"),
        label(RELATIVE, 8, 38, class_="soft"),
        line((one, TOP - 6), (one, bottom + 4), "one"),
        *(_bar(entry, (names, TOP + ROW * number), scale) for number, entry in enumerate(ordered)),
        *(
            label(said, 8, bottom + 24 + 16 * number, class_="soft")
            for number, said in enumerate(_measured(comparison))
        ),
    )
    title = f"{model}: " + "; ".join(f"{contender_of(e)} {fold(e[KEY])}" for e in ordered)
    return _Panel(title, drawn, names + BARS + VALUES, bottom + 50)


def _measured(comparison: Comparison) -> tuple[str, str]:
    dtype = (comparison.results.get("model") or {}).get("dtype")
    parts = [*machine(comparison), *([str(dtype)] if dtype else [])]
    domains = plural(len(comparison.domains), "domain")
    return f"mean of {domains}, 95 % intervals", " · ".join(parts)


def _bar(entry: Entry, at: tuple[float, float], scale: float) -> Markup:
    left, top = at
    contender = contender_of(entry)
    low, high = (left + scale * entry[f"{KEY}_{side}"] for side in ("low", "high"))
    middle = top + 9
    whisker = line((low, middle), (high, middle), "whisker")
    return join(
        label(contender, left - 8, top + 13, "end"),
        tag(
            "rect",
            x=left,
            y=top,
            width=scale * entry[KEY],
            height=18,
            rx=2,
            class_=contender.kind,
            data_mark="speedup",
        ),
        EMPTY if contender.kind == "baseline" else whisker,
        tag(
            "text",
            text(fold(entry[KEY])),
            tag("tspan", text(f"  {interval(entry, KEY)}"), class_="soft"),
            x=max(high, left + scale * max(entry[KEY], 1.0)) + 8,  # right of the line at 1
            y=top + 13,
        ),
    )
