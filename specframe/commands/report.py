"""`specframe report`: runs as one page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.results_file import PAGE, JsonFile, require_writable, write_figures
from specframe.errors import ArtefactError, SpecframeError
from specframe.storage.user_cache import write_text

if TYPE_CHECKING:
    from specframe.bench.report import Comparison

__all__ = ["report"]

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders or results files.")]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="File of the page. Default: report.html in the run's folder, or in the current folder "
        "for several runs.",
    ),
]

Picture = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg", help="Also write a plot of the first run's mean speed-ups."),
]


def report(runs: Runs, out: Out = None, picture: Picture = None, json: JsonFile = None) -> None:
    """Write one self-contained HTML page about runs."""
    from specframe.bench.report import read_run, verdict, write_page
    from specframe.bench.report.picture import speedup_picture

    require_writable(json)
    require_writable(picture, ".svg")
    target = out or _beside(runs)
    found = [read_run(path) for path in runs]
    require_writable(target)
    with _shown_wholly(runs):
        drawn = None if picture is None else speedup_picture(found[0])
        sentences = [f"{one.name}: {verdict(one).sentence}" for one in found]
        write_page(target, found)
    if picture is not None and drawn is not None:
        write_text(picture, drawn)
    for sentence in sentences:
        typer.echo(sentence)
    typer.echo(f"Written: {target}")
    write_figures(json, _figures(target, found))


@contextmanager
def _shown_wholly(runs: list[Path]) -> Iterator[None]:
    """Any error from results that were changed by hand, as one typed error."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, SpecframeError):
            raise
        raise ArtefactError(
            f"{', '.join(map(str, runs))} cannot be drawn: the files do not hold the results "
            f"of a comparison ({error!r}). Run it again, or name another run."
        ) from error


def _beside(runs: list[Path]) -> Path:
    if len(runs) > 1:
        return Path(PAGE)
    folder = runs[0] if runs[0].is_dir() else runs[0].parent
    return folder / PAGE


def _figures(target: Path, runs: list[Comparison]) -> dict[str, Any]:
    from specframe.bench.report import figures, verdict

    described = [
        {
            "run": comparison.name,
            "verdict": said.sentence,
            "winner": str(said.winner) if said.winner else None,
            "pays": said.pays,
            "marks": {figure.name: figure.marks for figure in figures(comparison)},
        }
        for comparison in runs
        for said in [verdict(comparison)]
    ]
    return {"schema_version": 1, "page": str(target), "runs": described}
