"""`specframe export`: a strategy as a folder for transformers' `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specframe.commands.results_file import require_folder

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    strategy: Annotated[
        str,
        typer.Option(
            help="A calibrated folder, or a name that `specframe ls` shows, such as knapspec:best."
        ),
    ],
) -> None:
    """Write a folder that transformers' `generate(custom_generate=DIR)` loads.

    If DIR is the folder of a model, the model's own `generate` then uses the strategy.
    """
    require_folder(folder)
    from specframe.doors.exported import export as write

    name = write(folder, strategy)
    typer.echo(f"{name} was written to {folder}. Use it where specframe is installed:")
    typer.echo(f'model.generate(..., custom_generate="{folder}", trust_remote_code=True)')
