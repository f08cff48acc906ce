"""Plots a profile: time against context with the fitted lines, and time against rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specframe.costs.model import CostModel
from specframe.storage.pictures import new_picture, save_picture

__all__ = ["crossing", "draw_profile"]

MILLISECONDS = 1e3
ATTENTION, MLP, HEAD = "#1f6fb4", "#d1662a", "#5b8c3a"


def crossing(costs: CostModel, kind: int = 0) -> float | None:
    """The context above which attention costs more than an MLP, by the fitted lines."""
    attention, mlp = costs.attention_line(kind), costs.mlp_level(kind)
    if attention.slope <= 0.0:
        return None
    return max((mlp.intercept - attention.intercept) / attention.slope, 0.0)


def draw_profile(costs: CostModel, path: Path, title: str) -> None:
    """Write the plot in the format of the file's extension."""
    figure = new_picture(11, 4.4)
    left, right = figure.subplots(1, 2)
    _against_context(left, costs)
    _against_rows(right, costs)
    figure.suptitle(title if not costs.simulated else f"{title} (composed of one measured layer)")
    save_picture(figure, path)


def _against_context(axes: Any, costs: CostModel) -> None:
    for kind in range(len(costs.attention)):
        suffix = f" (kind {kind})" if len(costs.attention) > 1 else ""
        contexts = costs.attention[kind].contexts
        attention = [costs.attention[kind].at(n, 1) * MILLISECONDS for n in contexts]
        mlp = [costs.mlp[kind].at(n, 1) * MILLISECONDS for n in contexts]
        axes.plot(contexts, attention, "o", color=ATTENTION, label=f"attention, measured{suffix}")
        axes.plot(contexts, mlp, "s", color=MLP, label=f"MLP, measured{suffix}")
        line, level = costs.attention_line(kind), costs.mlp_level(kind)
        ends = (contexts[0], contexts[-1])
        fitted = [line.at(n) * MILLISECONDS for n in ends]
        axes.plot(ends, fitted, color=ATTENTION, label=f"c2 n + c3, R² {line.r_squared:.3f}")
        axes.plot(ends, [level.at(n) * MILLISECONDS for n in ends], color=MLP, label="c1")
        where = crossing(costs, kind)
        if where is not None and ends[0] < where < ends[1]:
            axes.axvline(where, color="#777777", linestyle=":", label=f"equal at {where:.0f}")
    axes.set_xlabel("context, committed tokens")
    axes.set_ylabel("one sublayer, one row, ms")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _against_rows(axes: Any, costs: CostModel) -> None:
    rows = costs.head.rows
    context = costs.attention[0].contexts[min(1, len(costs.attention[0].contexts) - 1)]
    series = (
        (f"attention at {context}", ATTENTION, [costs.sublayer(0, context, m) for m in rows]),
        ("MLP", MLP, [costs.sublayer(1, context, m) for m in rows]),
        ("head", HEAD, [costs.head.at(context, m) for m in rows]),
    )
    for label, colour, seconds in series:
        axes.plot(rows, [s * MILLISECONDS for s in seconds], "o-", color=colour, label=label)
    one = costs.verify(1, context)
    whole = [costs.verify(m, context) / one for m in rows]
    twin = axes.twinx()
    twin.plot(rows, whole, "--", color="#444444", label="whole verification (right axis)")
    twin.set_ylabel("seconds of m rows / of one row")
    twin.set_ylim(bottom=0)
    axes.set_xlabel("rows verified together, m")
    axes.set_ylabel("one sublayer or head, ms")
    axes.set_ylim(bottom=0)
    lines = [*axes.get_lines(), *twin.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], fontsize=8)
