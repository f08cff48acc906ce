"""`specframe profile`: what sublayers cost on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.options import Device, Threads
from specframe.commands.results_file import JsonFile, require_writable, write_figures

if TYPE_CHECKING:
    from specframe.profilers.clocks import Progress
    from specframe.profilers.latency import LatencyGrid, LatencyProfile

__all__ = ["profile"]


def profile(
    model: Annotated[
        str,
        typer.Option(
            help="testbed, smollm2, planted-19M, planted-1.1B, planted-1.1B-32k, a folder, a .gguf "
            "file, a hub id, or a shape that is composed of one layer: llama-3.1-8B, "
            "llama-3.1-70B, qwen3-32B."
        ),
    ] = "testbed",
    contexts: Annotated[
        str | None, typer.Option(help="Context lengths, e.g. 128,1024,8192; up to 32768.")
    ] = None,
    rows: Annotated[str | None, typer.Option(help="Row counts, e.g. 1,2,4,8,16.")] = None,
    budget: Annotated[
        float, typer.Option(min=0.1, help="Seconds to spend on repeats, beyond the first three.")
    ] = 12.0,
    again: Annotated[bool, typer.Option("--again", help="Measure even if one is kept.")] = False,
    threads: Threads = None,
    device: Device = "cpu",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the profile into FILE.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the profile in FOLDER, too.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure attention, MLP, head and round costs by context length and rows; keep the result."""
    require_writable(json)
    require_writable(plot)
    from rich.console import Console

    from specframe.commands.profile_tables import profile_figures, show_profile

    console = Console()
    lengths, counts = numbers("profile", "contexts", contexts), numbers("profile", "rows", rows)
    found = _measure(model, device, threads, (lengths, counts, budget), again)
    show_profile(console, model, found)
    if plot is not None:
        from specframe.profilers.picture import draw_profile

        draw_profile(found.costs, plot, f"{model} on {found.costs.facts['processor']}")
    if out is not None:
        from specframe.profilers.store import save_profile

        save_profile(found, out)
    write_figures(json, profile_figures(model, found))


Wish = tuple[tuple[int, ...], tuple[int, ...], float]  # contexts, rows, seconds of repeats


def numbers(command: str, name: str, text: str | None) -> tuple[int, ...]:
    """Whole numbers of at least 1 with commas between them, ascending."""
    from specframe.errors import InvalidConfig

    if text is None:
        return ()
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1:
        wanted = "whole numbers of at least 1 with commas between them"
        raise InvalidConfig.of(command, name, wanted, text)
    return tuple(found)


def _measure(
    model: str, device: str, threads: int | None, wish: Wish, again: bool
) -> LatencyProfile:
    from specframe.costs.measure import measure_profile, measured_profile
    from specframe.profilers.composed import COMPOSED
    from specframe.rig import Rig

    if model in COMPOSED:
        return _measure_composed(model, device, threads, wish)
    rig = Rig.load(model, device=device, threads=threads)
    given = wish[0] or wish[1]
    grid = _grid(rig.executor, wish)
    if again:
        return measure_profile(rig.model, rig.executor, grid, _progress())
    return measured_profile(
        rig.model, rig.executor, grid if given else None, _progress(), budget=grid.budget_seconds
    )


def _measure_composed(name: str, device: str, threads: int | None, wish: Wish) -> LatencyProfile:
    from dataclasses import replace

    import torch

    from specframe.costs.measure import measure_round_costs
    from specframe.executors.device import require_device
    from specframe.executors.load import load_executor
    from specframe.profilers.composed import COMPOSED, compose, one_layer_model
    from specframe.profilers.latency import profile_latency

    place = require_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    composed = COMPOSED[name]
    layer = one_layer_model(composed, torch.bfloat16, place)
    executor = load_executor(layer)
    contexts = wish[0] or (128, 1024, 4096, 16384)
    grid = _grid(executor, (contexts, wish[1] or (1, 2, 4, 8, 16), wish[2]))
    found = profile_latency(executor, grid, (0,), _progress())
    costs = measure_round_costs(executor, found.costs)
    return replace(found, costs=compose(costs, composed.shape.layers, name))


def _grid(executor: Any, wish: Wish) -> LatencyGrid:
    from dataclasses import replace

    from specframe.profilers.latency import default_grid

    contexts, rows, budget = wish
    grid = replace(default_grid(executor, contexts), budget_seconds=budget)
    return replace(grid, rows=rows) if rows else grid


def _progress() -> Progress:
    """A line on the terminal that counts sweeps; nothing where there is no terminal."""
    from rich.console import Console

    console = Console(stderr=True)

    def tell(done: int, of: int) -> None:
        if console.is_terminal:
            console.print(f"measuring: sweep {done} of {of}", end="\r")

    return tell
