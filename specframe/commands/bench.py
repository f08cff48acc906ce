"""`specframe bench`: measurements on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from specframe.commands.comparing import compare_with_settings
from specframe.commands.results_file import JsonFile, require_writable, write_figures

__all__ = ["bench"]

bench = typer.Typer(help="Compare strategies, or measure the engine, on this machine.")
bench.callback(invoke_without_command=True)(compare_with_settings)


@bench.command("engine")
def bench_engine(
    shape: Annotated[str, typer.Option(help="Size of the random model: 19M or 1.1B.")] = "19M",
    json: JsonFile = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads to compute with; torch's own choice if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu or cuda.")] = "cpu",
) -> None:
    """Measure the engine and its executor on a model of random weights."""
    from specframe.bench.engine.figures import bench_engine, engine_options
    from specframe.commands.engine_tables import print_engine

    options = engine_options(shape, threads, device)
    require_writable(json)
    figures = bench_engine(options)
    print_engine(figures)
    write_figures(json, figures)
