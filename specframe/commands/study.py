"""`specframe study`: one question, answered by measurement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.results_file import JsonFile, require_writable, write_figures

if TYPE_CHECKING:
    from specframe.studies.study import Study

__all__ = ["register"]

RUNS = Path("results")
PAGE = "report.html"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("study")(study)


def study(
    name: Annotated[
        str | None, typer.Argument(help="Which study; --list shows them.", show_default=False)
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the studies and stop.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller, sooner, less sure.")] = False,
    model: Annotated[str | None, typer.Option(help="Another model than the study's own.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="name=value for the study; repeatable.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="A run's folder; an interrupted study goes on there. results/... if not.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the findings into FILE.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Answer one question by measurement; the findings become a part of the run's report."""
    require_writable(json)
    require_writable(plot)
    if listing:
        _list(json)
        return
    from specframe.bench.report import read_run, write_page
    from specframe.errors import InvalidRequest
    from specframe.selection import option_pairs
    from specframe.studies.registry import find_study, study_names
    from specframe.studies.running import run_study, settings_of, study_folder

    if name is None:
        raise InvalidRequest(f"Which study? Known: {', '.join(study_names())}.")
    chosen = find_study(name)
    settings = settings_of(chosen, quick, model, option_pairs(setting or []))
    run = out or RUNS / _stamp()
    typer.echo(chosen.question, err=True)
    results = run_study(chosen, settings, study_folder(run, chosen), _tell)
    _show(chosen, results)
    if plot is not None:
        from specframe.studies.picture import draw_study

        draw_study(results, plot)
    write_page(run / PAGE, [read_run(run)])
    typer.echo(f"Written: {study_folder(run, chosen) / 'study.json'} and {run / PAGE}")
    write_figures(json, results)


def _tell(text: str) -> None:
    typer.echo(f"{text} ...", err=True)


def _stamp() -> str:
    from datetime import datetime

    return datetime.now().strftime("%Y%m%d-%H%M%S")


def _list(json: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from specframe.studies.registry import find_study, study_names

    questions = {name: find_study(name).question for name in study_names()}
    table = Table("study", "what it asks")
    for name, question in questions.items():
        table.add_row(name, question)
    Console().print(table)
    write_figures(json, {"schema_version": 1, "studies": questions})


def _show(chosen: Study, results: Mapping[str, Any]) -> None:
    """Rows as a table, then the answer."""
    from rich.console import Console
    from rich.table import Table

    rows = results["rows"]
    keys = (
        [key for key, value in rows[0].items() if not isinstance(value, list | dict)]
        if rows
        else []
    )
    table = Table(*keys, title=chosen.title)
    for row in rows:
        table.add_row(*(_shown(row.get(key)) for key in keys))
    Console().print(table)
    typer.echo(results["answer"])


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
