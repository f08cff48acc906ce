"""`specframe bench`: measurements on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specframe.commands.comparing import compare_with_settings
from specframe.commands.options import Device, Dtype, Threads
from specframe.commands.results_file import JsonFile, require_writable, write_figures

__all__ = ["bench"]

bench = typer.Typer(help="Compare strategies, or measure the engine, on this machine.")
bench.callback(invoke_without_command=True)(compare_with_settings)


@bench.command("engine")
def bench_engine(
    shape: Annotated[
        str | None, typer.Option(help="Size of a random model: 19M (default) or 1.1B.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Measure this model instead: a name, a folder or a hub id.")
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Show milliseconds and calls of every operation of a token."
        ),
    ] = False,
    peer_json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Milliseconds per token of another program, shown for comparison."
        ),
    ] = None,
    json: JsonFile = None,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
) -> None:
    """Measure the engine and its executor, without a strategy."""
    from specframe.bench.engine.figures import bench_engine, engine_options
    from specframe.commands.engine_tables import print_engine

    require_writable(json)
    options = engine_options(shape, model, threads, device, profile, peer_json, dtype)
    figures = bench_engine(options)
    print_engine(figures)
    write_figures(json, figures)
