"""Machine, versions, model, settings and calibration of a run, and the meaning of the columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from specframe.bench.report.comparison import Comparison
from specframe.bench.report.markup import Markup, join, tag, text
from specframe.bench.report.panels import grid, panel
from specframe.bench.report.tables import COLUMNS
from specframe.bench.schema import ROW, SUMMARY

__all__ = ["definitions", "facts", "fingerprint"]

PARTS = {
    "environment": "Machine and versions",
    "model": "Model",
    "config": "Settings",
    "calibration": "Calibration",
    "exactness": "Exactness",
}
OBVIOUS = frozenset({"selector", "preset", "domain", "context", "temperature"})


def fingerprint(comparison: Comparison) -> str:
    """Digest of settings, machine and model; runs with the same one are comparable."""
    parts = [comparison.results.get(key) for key in ("config", "environment", "model")]
    written = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:12]


def facts(comparison: Comparison) -> Markup:
    """Every part of the results that describes the run."""
    given = ((title, comparison.results.get(key)) for key, title in PARTS.items())
    return grid(panel(title, _shown(value)) for title, value in given if value)


def definitions() -> Markup:
    """Every key of the summary in a sentence, except the ends of intervals."""
    headings = {key: heading for heading, key, _ in COLUMNS}
    pairs = (
        join(
            tag("dt", text(f"{headings.get(key, '')} "), tag("code", text(key))),
            tag("dd", text(ROW[key] if "as in rows" in sentence.lower() else sentence)),
        )
        for key, sentence in SUMMARY.items()
        if key not in OBVIOUS and not key.endswith(("_low", "_high"))
    )
    return tag("dl", *pairs, class_="words")


def _shown(value: Any) -> Markup:
    if not isinstance(value, Mapping):
        return tag("p", text(_plain(value)))
    pairs = (
        join(tag("dt", text(key)), tag("dd", text(_plain(entry))))
        for key, entry in value.items()
        if entry is not None
    )
    return tag("dl", *pairs, class_="facts")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(entry) for entry in value) or "all"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
