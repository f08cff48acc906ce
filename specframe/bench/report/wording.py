"""How numbers are written in reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specframe.bench.summary import MEAN as MEAN

UNKNOWN = "–"
INTERVALS = (
    "Intervals are over prompts. They do not include the variation between calibrations and runs: "
    "a strategy's speed-up has differed by 15\N{NO-BREAK SPACE}% between two runs on smollm2, and "
    "by 42\N{NO-BREAK SPACE}% on the testbed."
)
Entry = Mapping[str, Any]


def fold(value: float | None) -> str:
    """A speed-up."""
    return UNKNOWN if value is None else f"{value:.2f}×"


def interval(entry: Entry, key: str) -> str:
    """A speed-up's interval; empty if there is none."""
    low, high = entry.get(f"{key}_low"), entry.get(f"{key}_high")
    return "" if low is None or high is None else f"{low:.2f}–{high:.2f}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def count(value: float | None, digits: int = 2) -> str:
    """A mean count."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def milliseconds(seconds: float | None) -> str:
    """Seconds in milliseconds."""
    return UNKNOWN if seconds is None else count(1000 * seconds, digits=0)


def milliseconds_each(rate: float | None) -> str:
    """Milliseconds of one at this rate per second."""
    return count(1000 / rate, digits=1) if rate else UNKNOWN


def bytes_(value: float | None) -> str:
    """Memory in binary units; 0 means not measured."""
    if not value:
        return UNKNOWN
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def domain_name(domain: str) -> str:
    """A domain as a heading."""
    if domain == MEAN:
        return "mean of the domains"
    return domain or "unlabelled prompts"


def plural(number: int, noun: str) -> str:
    """2 domains, 1 domain."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[object]) -> str:
    """a, b and c."""
    *before, last = map(str, names)
    return f"{', '.join(before)} and {last}" if before else last


def sublayer_name(sublayer: int) -> str:
    """2i is the attention of layer i, 2i + 1 its MLP."""
    return f"layer {sublayer // 2} {'MLP' if sublayer % 2 else 'attention'}"
