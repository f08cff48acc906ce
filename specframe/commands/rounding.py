"""`specframe round`: rounds weights to 4 bits so that more drafted tokens are accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from specframe.commands.options import Device, Dtype, Threads, say_prompts
from specframe.commands.progress import Progress
from specframe.commands.results_file import JsonFile, require_writable, write_figures

if TYPE_CHECKING:
    from specframe.calibration.rounding import FittedRounding

__all__ = ["round_"]


def round_(
    model: Annotated[
        str, typer.Option(help="testbed, smollm2, a folder, a .gguf file or a hub id.")
    ],
    prompts: Annotated[
        str | None,
        typer.Option(
            help='A file with {"prompt": ..., "domain": ...} per line, or everyday. Default: '
            "everyday; the testbed has its own."
        ),
    ] = None,
    per_domain: Annotated[
        int,
        typer.Option(min=3, max=1000, help="Prompts per domain; a third of them test the result."),
    ] = 6,
    new_tokens: Annotated[
        int, typer.Option(min=1, help="New tokens per prompt; they are used as inputs as well.")
    ] = 32,
    again: Annotated[
        bool, typer.Option("--again", help="Round again even if rounded weights are stored.")
    ] = False,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
) -> None:
    """Round a model's weights to 4 bits to fit its layers' inputs; store them if drafts improve.

    From then on, drafts with 4-bit weights use them on this machine. Outputs do not change.
    """
    require_writable(json)
    from specframe.calibration.rounding import has_rounding
    from specframe.prompts.source import calibration_prompts, require_prompts
    from specframe.prompts.usual import usual_prompts
    from specframe.rig import Rig

    source = prompts or usual_prompts(model)
    require_prompts(source)
    say_prompts(model, prompts)
    progress = Progress()
    rig = Rig.load(model, device=device, threads=threads, dtype=dtype, tell=progress)
    if has_rounding(rig.model) and not again:
        typer.echo(
            f"Rounded 4-bit weights of {model} are stored already. Use --again to round again."
        )
        write_figures(json, {"schema_version": 1, "model": model, "kept": True, "fitted": False})
        return
    found = rig.fit_rounding(calibration_prompts(source, rig, per_domain), new_tokens)
    progress.end()
    _show(model, found)
    figures = {
        "schema_version": 1,
        "model": model,
        "fitted": True,
        "kept": found.kept,
        "weights": found.weights,
        "tokens": found.tokens,
        "acceptance_nearest": found.nearest.value,
        "acceptance_fitted": found.fitted.value,
        "judged_on": found.fitted.count,
    }
    write_figures(json, figures)


def _show(model: str, found: FittedRounding) -> None:
    typer.echo(
        f"Drafts of {model} on 4-bit weights have an acceptance of {found.nearest.value:.3f} over "
        f"{found.fitted.count} tokens if weights are rounded to the nearest values, and of "
        f"{found.fitted.value:.3f} if they are rounded for their inputs ({found.weights} "
        f"matrices, {found.tokens} tokens of other prompts)."
    )
    typer.echo(
        "The better ones are stored and used from now on." if found.kept else "Nothing is stored."
    )
