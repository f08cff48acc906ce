"""The figures of `scripts/gpu_check.py` that the documentation shows."""

import json
import re
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
PRODUCTS = re.compile("nvjet|gemm|splitK")  # names of kernels
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
    """The figures of a GPU, or a note that there are none."""
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
    missed = [what for what, _, _, met in _judged(shapes) if met is False]
    verdict = f"Missed: {'; '.join(missed)}." if missed else "No bar was missed."
    heads = ("what", "bar", "measured", "")
    return f"### Targets\n\n{table(heads, lines)}\n\n{verdict}"


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
    if (rate := half.get("acceptance")) is not None:
        what += f" ({rate:.2f} of the drafted tokens accepted)"
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
    heads = ["greedy decoding, tokens per second", *shapes]
    return "### Without drafting\n\n" + table(heads, lines)


def _drafts(shapes: dict[str, Any]) -> str:
    lines = []
    for name, figures in shapes.items():
        for key, title in DRAFTS.items():
            cell = figures.get("planted", {}).get(key) or {}
            if "vs_own_ar" not in cell:
                continue
            numbers = (cell["acceptance"], cell["predicted"], cell["vs_own_ar"])
            versus = (*numbers, cell.get("vs_static"))
            lines.append([name, title, *map(_shown, versus)])
    if not lines:
        return ""
    heads = (
        "shape",
        "draft of 6 tokens",
        "accepted of the drafted",
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
        if (prefill := figures.get("prefill_seconds", {})).get("seconds"):
            ours, theirs = 1e3 * prefill["seconds"], 1e3 * prefill["transformers"]
            yield (
                f"- {name}: a prompt of {prefill['tokens']} tokens takes {ours:.0f} ms, and "
                f"{theirs:.0f} ms in transformers."
            )
        if (waits := figures.get("step_gap_us")) is not None:
            yield (
                f"- {name}: a token takes {waits:.0f} µs more than a walk that does not wait for "
                f"the host."
            )
        if kernels := figures.get("launches_per_walk", {}).get("graph_compiled"):
            products = sum(us for what, _, us in kernels["slowest"] if PRODUCTS.search(what))
            yield (
                f"- {name}: of {kernels['device_us'] / 1e3:.2f} ms in {kernels['kernels']} kernels "
                f"of a walk, matrix products take {products / 1e3:.2f} ms."
            )
        if (capture := figures.get("capture_ms")) is not None:
            mib = figures["graph_mib"]
            yield f"- {name}: recording a walk takes {capture:.0f} ms and {mib:.1f} MiB."
