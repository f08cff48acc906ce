"""A comparison as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from specframe.bench.report.comparison import Setting, contender_of, setting_of
from specframe.bench.report.wording import INTERVALS, domain_name
from specframe.bench.summary import MEAN
from specframe.testbed.disclosure import EXIT_NOTE, exit_mark

__all__ = ["print_comparison"]

BAR = 6  # characters of a bar at the largest speed-up


def print_comparison(results: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the mean of the domains, one line per contender, fastest first."""
    console = console or Console()
    means = [entry for entry in results["summary"] if entry["domain"] == MEAN]
    model = (results.get("config") or {}).get("model", "")
    for setting in sorted({setting_of(entry) for entry in means}):
        console.print(_table([e for e in means if setting_of(e) == setting], setting, model))
    if means:
        console.print(INTERVALS)


def _table(entries: list[Mapping[str, Any]], setting: Setting, model: str) -> Table:
    title = f"{setting}, {domain_name(MEAN)}"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column(
        "strategy", overflow="fold"
    )  # in a narrow terminal, names are wrapped, not figures
    for name in ("own AR", "", "95 %", "library", "accepted", "a round", "exact"):
        table.add_column(name, no_wrap=True)
    longest = max((entry["speedup_vs_own_ar"] or 0.0 for entry in entries), default=1.0)
    for entry in sorted(entries, key=lambda e: -(e["speedup_vs_own_ar"] or 0.0)):
        value, contender = entry["speedup_vs_own_ar"], contender_of(entry)
        unsure = entry["inconclusive"] and contender.kind != "baseline"
        table.add_row(
            f"{contender}{exit_mark(model, contender.selector)}",
            _times(value) + (" ?" if unsure else ""),
            "█" * round(BAR * (value or 0.0) / longest),
            _spread(entry, "speedup_vs_own_ar"),
            _times(entry["speedup_vs_transformers"]),
            _share(entry["acceptance"]),
            "" if entry["mean_accepted"] is None else f"{entry['mean_accepted']:.2f}",
            _exact(entry),
        )
    table.caption = (
        "speed-ups; ? inconclusive: one prompt, or an interval around 1 wider than 4 % either way; "
        "~ all other outputs differ at a near-tie, ! some do not"
    )
    lowered = [f"{contender_of(e)} {e['low_bits']} bits" for e in entries if e.get("low_bits")]
    if lowered:
        table.caption += f"; drafts on low-bit weights: {', '.join(lowered)}"
    if any(exit_mark(model, entry["selector"]) for entry in entries):
        table.caption += f"; {EXIT_NOTE}"
    return table


def _exact(entry: Mapping[str, Any]) -> str:
    """The share of identical outputs, and whether rounding alone explains the others."""
    match = entry["exact_match"]
    if match is None or match == 1.0:
        return _share(match)
    return _share(match) + (" ~" if match + entry["near_ties"] > 1.0 - 1e-9 else " !")


def _spread(entry: Mapping[str, Any], name: str) -> str:
    if entry[name] is None:
        return ""
    return f"{entry[f'{name}_low']:.2f}-{entry[f'{name}_high']:.2f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
