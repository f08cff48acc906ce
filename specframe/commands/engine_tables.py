"""Tables of `specframe bench engine`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from specframe.bench.engine.decoders import HEADS, decoders

__all__ = ["print_engine"]

MEGABYTE = 1e6
GIGABYTE = 1e9


def print_engine(figures: dict[str, Any], console: Console | None = None) -> None:
    """Print the figures of `bench_engine`."""
    console = console or Console()
    console.print(_forwards(figures["forward_ms"]))
    console.print(_decoders(figures))
    console.print(_summary(figures))
    if figures["operations"] is not None:
        console.print(_operations(figures["operations"]))


def _decoders(figures: dict[str, Any]) -> Table:
    table = Table(HEADS[0], title="Greedy decoding of one sequence")
    for head in HEADS[1:]:
        table.add_column(head, justify="right")
    for decoder in decoders(figures):
        table.add_row(decoder.name, *decoder.shown)
    return table


def _forwards(forward_ms: dict[str, dict[str, float]]) -> Table:
    rows = list(next(iter(forward_ms.values())))
    table = Table(title="ms per forward after 200 tokens, by rows")
    table.add_column("skipped")
    for count in rows:
        table.add_column(count, justify="right")
    for share, by_rows in forward_ms.items():
        table.add_row(f"{float(share):.0%}", *(f"{by_rows[count]:.2f}" for count in rows))
    return table


def _summary(figures: dict[str, Any]) -> Table:
    table = Table("figure", "value", "how", title=figures["shape"]["name"])
    low, high = figures["ar_vs_transformers_interval"]
    speeds = figures["tokens_per_second"]
    table.add_row(
        "ar_vs_transformers",
        f"{figures['ar_vs_transformers']:.2f}",
        f"95 % interval {low:.2f} to {high:.2f}; tokens/s: "
        + ", ".join(f"{arm} {speed:.1f}" for arm, speed in speeds.items()),
    )
    table.add_row("verify8_over_1", f"{figures['verify8_over_1']:.2f}", "9 rows over 1 row")
    read = figures["weight_bytes"]["read_per_token"]
    best = figures["limit_tokens_per_second"] * read / GIGABYTE
    table.add_row("bandwidth_share", f"{figures['bandwidth_share']:.2f}", f"of {best:.1f} GB/s")
    table.add_row(
        "outside_products_share",
        f"{figures['outside_products_share']:.2f}",
        f"of a token; its matrix products alone take {figures['products_ms']:.2f} ms",
    )
    overhead = figures["overhead"]
    table.add_row(
        "overhead_share",
        f"{figures['overhead_share']:.3f}",
        f"{overhead['other_ms_per_round']:.2f} ms per round besides walks of "
        f"{overhead['ms_per_walk']:.2f} ms; acceptance {overhead['acceptance']:.2f}",
    )
    table.add_row("memory", *_memory(figures["memory"]))
    return table


def _operations(operations: dict[str, dict[str, float]]) -> Table:
    table = Table("operation", title="Operations of one token, longest first")
    table.add_column("ms", justify="right")
    table.add_column("calls", justify="right")
    for name, found in operations.items():
        table.add_row(name, f"{found['ms']:.2f}", f"{found['calls']:.0f}")
    return table


def _memory(memory: dict[str, Any] | None) -> tuple[str, str]:
    if memory is None:
        return "not measured", "this system does not report the peak memory of a process"
    how = (
        f"keys and values {memory['keys_and_values'] / MEGABYTE:.0f} MB; the rest is "
        f"{memory['over_keys_and_values']:.1%} of the weights"
    )
    return f"+{memory['growth'] / MEGABYTE:.0f} MB", how
