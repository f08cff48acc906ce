"""Measures the executor for GPUs on this machine and writes the figures as JSON.

    python scripts/gpu_check.py --json gpu.json
    python scripts/gpu_check.py --device cpu --recorder replay --tiny --json gpu.json

Models have planted weights, so that nothing is downloaded. Every measurement is written at once;
for a failed one, its traceback is written. The second command is a trial run on a CPU.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from gpu_figures import exactness, parts, speed
from gpu_figures.bench import Bench, weight_bytes
from gpu_figures.machine import environment
from gpu_figures.report import Report

from specframe.testing.planted import planted_skips
from specframe.types import ModelShape, SkipSet

SHAPES = {
    "1.1B": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 20480),
    "8B": ModelShape(32, 4096, 128256, 32, 8, 128, 14336, 20480),
}
TINY = {"tiny": ModelShape(4, 64, 256, 4, 2, 16, 128, 2048)}


def measure(name: str, shape: ModelShape, report: Report, args: argparse.Namespace) -> None:
    """Measure a shape, the most important figures first."""

    def take(key: str, seconds: float, call: Callable[[], Any]) -> Any:
        return report.take(f"{name}|{key}", seconds / 20 if args.tiny else seconds, call)

    bench = Bench(name, shape, args)
    own = bench.autoregressive()
    half = planted_skips(shape.layers, 0.5)
    take("graph_against_eager", 10, partial(exactness.graph_against_eager, bench))
    take("tokens_per_second|graph", 10, partial(bench.speed, bench.plain, own))
    graph = take("tokens_per_second|graph_compiled", 10, partial(bench.speed, bench.graphed, own))
    take("tokens_per_second|eager", 10, partial(bench.speed, bench.eager, own, 2))
    take("rows_equal", 10, partial(exactness.rows_equal, bench))
    if graph:
        take("*", 5, partial(speed.gap, bench, graph["ms_per_token"]))
    take("exact|generations", 20, partial(exactness.exact, bench, 6, half))
    take("products", 10, partial(parts.products, bench))
    take("attention_us_by_context", 10, partial(parts.attention, bench))
    take("small_operations_us", 5, partial(parts.small_operations, bench))
    take("launches_per_walk", 8, partial(parts.launches, bench))
    take("syncs_per_draft_step", 5, partial(parts.syncs, bench, half))
    take("*", 5, partial(parts.capturing, bench))
    take("tokens_per_second|hf_dynamic", 20, partial(bench.hf, None))
    take("low_bit_ms", 15, partial(speed.low_bit_ms, bench))
    static = take("tokens_per_second|hf_static_compiled", 70, partial(bench.hf, "static"))
    if graph:
        whole = SkipSet.none(shape.layers)
        drafts = {
            "half": half,
            "eight_bits": whole.lower(8, head=False),
            "half_on_eight_bits": half.lower(8, head=False),
            "half_on_four_bits": half.lower(4, head=False),
        }
        for key, skips in drafts.items():
            take(f"planted|{key}", 12, partial(speed.planted, bench, skips, 6, graph, static))
    take("*", 15, partial(speed.walks, bench))
    take("prefill_seconds", 8, partial(speed.prefill, bench))
    take("exact|statement", 30, partial(exactness.statement, bench))
    take("memory", 1, partial(speed.memory, bench))
    take("*", 1, partial(against, report, name, bench))


def against(report: Report, name: str, bench: Bench) -> dict[str, Any]:
    """The ratios that have a target."""
    speeds = report.found[name]["tokens_per_second"]
    graph, static = speeds.get("graph_compiled") or {}, speeds.get("hf_static_compiled") or {}
    copy = report.found["environment"].get("copy_gb_s")
    rate = graph.get("tokens_per_second")
    other = static.get("tokens_per_second")
    return {
        "ar_vs_static": rate / other if rate and other else None,
        "bandwidth_share": weight_bytes(bench) * rate / 1e9 / copy if rate and copy else None,
        "weight_gb": weight_bytes(bench) / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--recorder", choices=("cuda", "replay"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--shapes", nargs="*", default=None)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument(
        "--add", type=Path, help="earlier figures, kept for keys that are not measured"
    )
    parser.add_argument("--only", nargs="*", default=(), help="beginnings of keys, e.g. planted")
    args = parser.parse_args()
    report = Report(args.json, args.minutes, args.add, args.only)
    report.take("environment", 0, partial(environment, torch.device(args.device)))
    shapes = TINY if args.tiny else SHAPES
    for name in args.shapes or shapes:
        measure(name, shapes[name], report, args)
        torch._dynamo.reset()  # the functions compiled by transformers keep the model alive
        gc.collect()
        if args.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
