"""`specframe doctor`: shows whether and how a model runs on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from specframe.commands.options import Device, Dtype, Threads
from specframe.commands.results_file import JsonFile, require_writable, write_figures
from specframe.errors import UnsupportedModel

__all__ = ["doctor"]

Model = Annotated[
    str, typer.Argument(help="A folder with a model, a .gguf file, a hub id, smollm2 or testbed.")
]


def doctor(
    model: Model,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
) -> None:
    """Show whether a model is supported, how it is run, and what is installed."""
    from specframe.doors.doctor import diagnose, report
    from specframe.executors.device import compute_with

    require_writable(json)
    compute_with(threads)
    diagnosis = diagnose(model, device, dtype)
    typer.echo(report(diagnosis))
    write_figures(json, diagnosis.figures())
    if diagnosis.refusal is not None:
        raise UnsupportedModel(diagnosis.refusal)
