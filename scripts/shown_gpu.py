"""The figures of `scripts/gpu_check.py` that the documentation shows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tables import table

SHOWN = Path(__file__).parent.parent / "docs" / "gpu.json"
NOT_YET = (
    "**The executor for GPUs has not run on a GPU yet.** It was tested on CPUs only, with "
    "recordings that compute again what a graph would replay. Nothing on this page is a measured "
    "speed."
)
DECODERS = {
    "graph_compiled": "specframe, graphed",
    "graph": "specframe, graphed, small operations not compiled",
    "eager": "specframe, without graphs",
    "hf_dynamic": "transformers",
    "hf_static_compiled": "transformers, static cache, compiled",
}
DRAFTS = {
    "half": "half of the sublayers skipped",
    "eight_bits": "8-bit weights, nothing skipped",
    "half_on_eight_bits": "half skipped, the rest on 8-bit weights",
    "half_on_four_bits": "half skipped, the rest on 4-bit weights",
}


def gpu() -> str:
    """What was measured on a GPU, or that nothing was."""
    if not SHOWN.exists():
        return NOT_YET
    found = json.loads(SHOWN.read_text(encoding="utf-8"))
    shapes = {name: figures for name, figures in found.items() if name != "environment"}
    parts = [_opening(found["environment"]), _bars(shapes), _speeds(shapes), _drafts(shapes)]
    parts += [_walks(name, figures) for name, figures in shapes.items() if _has(figures, "walk_ms")]
    parts.append("\n".join(_facts(shapes)))
    return "\n\n".join(part for part in parts if part)


def _opening(machine: dict[str, Any]) -> str:
    return (
        f"Measured on one {machine['device']} with torch {machine['torch']} and transformers "
        f"{machine['transformers']} by `scripts/gpu_check.py`. Models have the shapes of Llama "
        f"models of 1.1B and 8B parameters in bfloat16, and planted weights: seconds are real, the "
        f"text is not. Memory is copied at {machine['copy_gb_s'] / 1e3:.1f} TB/s."
    )


def _bars(shapes: dict[str, Any]) -> str:
    lines = [[what, aim, _shown(got), _met(met)] for what, aim, got, met in _judged(shapes)]
    return "### What it should reach\n\n" + table(("what", "bar", "measured", ""), lines)


def _judged(shapes: dict[str, Any]) -> Iterator[tuple[str, str, Any, bool | None]]:
    large = shapes.get("8B", {})
    share = large.get("bandwidth_share")
    yield "8B: share of the copying rate", "at least 0.85", share, _least(share, 0.85)
    for name, figures in shapes.items():
        ratio = figures.get("ar_vs_static")
        what = f"{name}: against transformers with a static cache, compiled"
        yield what, "at least 1.0", ratio, _least(ratio, 1.0)
    for name, figures in shapes.items():
        ties = figures.get("exact", {}).get("generations", {}).get("not_near_ties")
        met = None if ties is None else ties == 0
        yield f"{name}: tokens that differ without a near-tie", "0", ties, met
    half = large.get("planted", {}).get("half", {})
    gain = half.get("vs_own_ar")
    what = "8B: half skipped, 6 drafts, against its own decoding"
    if (rate := half.get("acceptance_of_a_token")) is not None:
        what += f" (a token is accepted with probability {rate:.2f})"
    yield what, "at least 1.25", gain, _least(gain, 1.25)


def _least(value: float | None, least: float) -> bool | None:
    return None if value is None else value >= least


def _met(met: bool | None) -> str:
    return {True: "met", False: "missed", None: "not measured"}[met]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _speeds(shapes: dict[str, Any]) -> str:
    lines = []
    for key, title in DECODERS.items():
        cells = [figures.get("tokens_per_second", {}).get(key) or {} for figures in shapes.values()]
        lines.append([title, *(_shown(cell.get("tokens_per_second")) for cell in cells)])
    heads = ["greedy decoding, tokens a second", *shapes]
    return "### Without drafting\n\n" + table(heads, lines)


def _drafts(shapes: dict[str, Any]) -> str:
    lines = []
    for name, figures in shapes.items():
        for key, title in DRAFTS.items():
            cell = figures.get("planted", {}).get(key) or {}
            if "vs_own_ar" not in cell:
                continue
            numbers = (cell.get("acceptance_of_a_token"), cell["predicted"], cell["vs_own_ar"])
            versus = (*numbers, cell.get("vs_static"))
            lines.append([name, title, *map(_shown, versus)])
    if not lines:
        return ""
    heads = (
        "shape",
        "draft of 6 tokens",
        "accepted, of a token",
        "predicted",
        "over its own decoding",
        "over transformers, compiled",
    )
    return "### With drafting, on planted weights\n\n" + table(heads, lines)


def _has(figures: dict[str, Any], key: str) -> bool:
    return isinstance(figures.get(key), dict) and "error" not in figures[key]


def _walks(name: str, figures: dict[str, Any]) -> str:
    by_context = {c: rows for c, rows in figures["walk_ms"].items() if c.isdigit()}
    rows = list(next(iter(by_context.values())))
    lines = [[context, *(f"{by[row]:.2f}" for row in rows)] for context, by in by_context.items()]
    heads = ["context", *(f"{row} rows" if row != "1" else "1 row" for row in rows)]
    return f"### Milliseconds of a walk, {name}\n\n" + table(heads, lines)


def _facts(shapes: dict[str, Any]) -> Iterator[str]:
    for name, figures in shapes.items():
        exact = figures.get("exact", {})
        if statement := exact.get("statement", {}).get("statement"):
            yield f"- {name}: {statement}."
        if (share := exact.get("generations", {}).get("share_vs_own_ar")) is not None:
            cases = exact["generations"]["cases"]
            yield f"- {name}: {share:.0%} of {cases} drafted generations equal its own decoding."
        if (waits := figures.get("step_gap_us")) is not None:
            yield f"- {name}: between two tokens the GPU waits {waits:.0f} µs for the host."
        if (capture := figures.get("capture_ms")) is not None:
            mib = figures["graph_mib"]
            yield f"- {name}: recording a walk takes {capture:.0f} ms and {mib:.1f} MiB."
