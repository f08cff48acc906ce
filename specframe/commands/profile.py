"""`specframe profile`: what sublayers cost on this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from specframe.commands.options import Device, Dtype, Threads
from specframe.commands.progress import Progress
from specframe.commands.results_file import (
    PICTURES,
    JsonFile,
    require_folder,
    require_writable,
    write_figures,
)

if TYPE_CHECKING:
    from specframe.profilers.latency import LatencyGrid, LatencyProfile

__all__ = ["numbers", "profile"]

MOST_NUMBERS = 32  # of contexts and of row counts: each pair is timed
MOST_ROWS = 64  # the longest draft


def profile(
    model: Annotated[
        str,
        typer.Option(
            help="testbed, smollm2, planted-19M, planted-1.1B, planted-1.1B-32k, a folder, a .gguf "
            "file, a hub id, or a shape that is composed of one layer: llama-3.1-8B, "
            "llama-3.1-70B, llama-3.1-405B, qwen3-32B."
        ),
    ] = "testbed",
    contexts: Annotated[
        str | None, typer.Option(help="Context lengths, e.g. 128,1024,8192; up to 32768.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Row counts (tokens per pass), e.g. 1,2,4,8,16.")
    ] = None,
    budget: Annotated[
        float,
        typer.Option(
            min=0.1, max=3600.0, help="Seconds to spend on repeats after the first three."
        ),
    ] = 12.0,
    again: Annotated[
        bool, typer.Option("--again", help="Measure even if a profile is stored.")
    ] = False,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a plot of the profile to FILE.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the profile to FOLDER.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure attention, MLP, head and round costs by context length and rows, and store them."""
    require_writable(json)
    require_writable(plot, *PICTURES)
    require_folder(out)
    from rich.console import Console

    from specframe.commands.profile_tables import profile_figures, show_profile

    console = Console()
    lengths = numbers("profile", "contexts", contexts)
    counts = numbers("profile", "rows", rows, MOST_ROWS)
    place = Place(device, threads, dtype)
    found = _measure(model, place, (lengths, counts, budget), again)
    show_profile(console, model, found)
    if plot is not None:
        from specframe.profilers.picture import draw_profile

        draw_profile(found.costs, plot, f"{model} on {found.costs.facts['processor']}")
    if out is not None:
        from specframe.profilers.store import save_profile

        save_profile(found, out)
    write_figures(json, profile_figures(model, found))


class Place(NamedTuple):
    """Where and how a model computes."""

    device: str
    threads: int | None
    dtype: str


GridOptions = tuple[tuple[int, ...], tuple[int, ...], float]  # contexts, rows, seconds of repeats


def numbers(command: str, name: str, text: str | None, most: int = 2**31) -> tuple[int, ...]:
    """Comma-separated whole numbers from 1 to `most`, sorted."""
    from specframe.errors import InvalidConfig

    if text is None:
        return ()
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > most or len(found) > MOST_NUMBERS:
        wanted = f"up to {MOST_NUMBERS} whole numbers from 1 to {most}, separated by commas"
        raise InvalidConfig.of(command, name, wanted, text)
    return tuple(found)


def _measure(model: str, place: Place, options: GridOptions, again: bool) -> LatencyProfile:
    from specframe.costs.measure import measure_profile, measured_profile
    from specframe.profilers.composed import COMPOSED
    from specframe.profilers.store import find_profile
    from specframe.rig import Rig

    progress = Progress()
    tell = partial(progress, "measuring")
    if model in COMPOSED:
        found = _measure_composed(model, place, options, tell)
        progress.end()
        return found
    rig = Rig.load(model, device=place.device, threads=place.threads, dtype=place.dtype)
    given = options[0] or options[1]
    grid = _grid(rig.executor, options)
    if again:
        found = measure_profile(rig.model, rig.executor, grid, tell)
    else:
        found = measured_profile(
            rig.model, rig.executor, grid if given else None, tell, budget=grid.budget_seconds
        )
    progress.end()
    if found != find_profile(found.costs.facts):
        typer.echo(
            "The stored profile covers more and was not replaced. Use --again to replace it.",
            err=True,
        )
    return found


def _measure_composed(
    name: str, place: Place, options: GridOptions, tell: Callable[[int, int], None]
) -> LatencyProfile:
    from dataclasses import replace

    import torch

    from specframe.costs.measure import measure_round_costs
    from specframe.executors.device import compute_with, require_device, require_dtype
    from specframe.executors.load import load_executor
    from specframe.profilers.composed import COMPOSED, compose, one_layer_model
    from specframe.profilers.latency import profile_latency

    device = require_device(place.device)
    dtype = require_dtype(place.dtype) or torch.bfloat16
    compute_with(place.threads)
    composed = COMPOSED[name]
    executor = load_executor(one_layer_model(composed, dtype, device))
    contexts = options[0] or (128, 1024, 4096, 16384)
    grid = _grid(executor, (contexts, options[1] or (1, 2, 4, 8, 16), options[2]))
    found = profile_latency(executor, grid, (0,), tell)
    costs = measure_round_costs(executor, found.costs)
    return replace(found, costs=compose(costs, composed.shape.layers, name))


def _grid(executor: Any, options: GridOptions) -> LatencyGrid:
    from dataclasses import replace

    from specframe.errors import InvalidConfig
    from specframe.profilers.latency import CONTEXTS, default_grid

    contexts, rows, budget = options
    grid = replace(default_grid(executor, contexts), budget_seconds=budget)
    grid = replace(grid, rows=rows) if rows else grid
    longest = min(executor.shape.positions - grid.rows[-1], CONTEXTS[-1])
    if contexts and contexts[-1] > longest:
        wanted = f"at most {longest}, the longest that fits into this model's positions"
        raise InvalidConfig.of("profile", "contexts", wanted, contexts[-1])
    return grid
