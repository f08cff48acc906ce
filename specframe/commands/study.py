"""`specframe study`: runs one study, or all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.interrupts import resumable
from specframe.commands.options import (
    Device,
    Dtype,
    GpusPerWorker,
    Ray,
    Threads,
    Workers,
    cluster_of,
    say_prompts,
)
from specframe.commands.results_file import (
    PAGE,
    PICTURES,
    JsonFile,
    new_run,
    require_folder,
    require_writable,
    write_figures,
)

if TYPE_CHECKING:
    from specframe.scheduling.ray_workers import Cluster
    from specframe.scheduling.workers import Workers as Scheduled
    from specframe.studies.framework.study import Place, Study

__all__ = ["study"]

EVERY = "all"


def study(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a study, or all; --list shows the names.", show_default=False),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the studies and exit.")] = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Run a smaller and faster version with less certain results."),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Use this model instead of the study's default.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the study as name=value; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Folder of the run; an interrupted study is resumed there. Default: results/TIME.",
        ),
    ] = None,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    ray: Ray = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a plot of the results to FILE.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Answer a question by measurement, or all; the findings become a part of the run's report.

    With --ray, all studies run at the same time, one on each worker, in a folder that all machines
    share.
    """
    require_writable(json)
    require_writable(plot, *PICTURES)
    require_folder(out)
    if listing:
        _list(json)
        return
    from specframe.contract.naming import option_pairs
    from specframe.doors.loading import located
    from specframe.errors import InvalidRequest
    from specframe.executors.device import compute_with, require_device, require_dtype
    from specframe.studies.framework.registry import study_names
    from specframe.studies.framework.study import Place

    require_device(device)
    require_dtype(dtype)
    place = Place(device, dtype)
    options = option_pairs(setting or [])
    # a model that was not fetched is refused before a run begins
    located(options.get("model") or model or "testbed")
    cluster = cluster_of(ray, workers, gpus_per_worker, threads, device)
    if cluster is None:
        compute_with(threads)
    elif name != EVERY:
        raise InvalidRequest("--ray runs all studies in parallel, not a single one. Leave it out.")
    say_prompts(model or "testbed", options.get("prompts"))
    run = out or new_run()
    if name is None:
        raise InvalidRequest(f"Name a study: {', '.join(study_names())}, or all.")
    if name != EVERY:
        with _resumable(run):
            _one(name, quick, model, options, run, place, plot, json)
        return
    if setting or plot is not None:
        raise InvalidRequest(
            "--set and --plot apply to a single study, not to all. Leave them out, or name "
            "the study."
        )
    with _resumable(run):
        _every(quick, model, run, place, json, cluster)


def _resumable(run: Path) -> AbstractContextManager[None]:
    return resumable(run, f"repeat the command with --out {run} to continue.")


def _one(
    name: str,
    quick: bool,
    model: str | None,
    options: Mapping[str, str],
    run: Path,
    place: Place,
    plot: Path | None,
    json: Path | None,
) -> None:
    from specframe.studies.framework.registry import find_study
    from specframe.studies.framework.running import duration, run_study, settings_of, study_folder

    chosen = find_study(name)
    settings = settings_of(chosen, quick, model, options)
    typer.echo(chosen.question, err=True)
    if takes := duration(chosen, quick, model):
        typer.echo(f"This takes {takes}.", err=True)
    results = run_study(chosen, settings, study_folder(run, chosen), _tell, place)
    _show(chosen, results)
    if plot is not None:
        from specframe.studies.framework.picture import draw_study

        draw_study(results, plot)
    _report(run)
    typer.echo(f"Written: {study_folder(run, chosen) / 'study.json'} and {run / PAGE}")
    write_figures(json, results)


def _every(
    quick: bool,
    model: str | None,
    run: Path,
    place: Place,
    json: Path | None,
    cluster: Cluster | None,
) -> None:
    """All studies; failures are reported at the end."""
    from specframe.studies.framework.every_study import run_every
    from specframe.studies.framework.registry import find_study, study_names

    studies = [find_study(name) for name in study_names()]
    with _running(cluster, run, quick, model, place) as workers:
        outcome = run_every(
            studies,
            run,
            quick,
            _tell,
            lambda: _report(run),
            model=model,
            place=place,
            workers=workers,
        )
    for chosen in studies:
        if chosen.name in outcome.results:
            typer.echo(f"{chosen.name}: {outcome.results[chosen.name]['answer']}")
    if outcome.results:
        typer.echo(f"Written: {run / PAGE}")
    write_figures(json, outcome.figures())
    outcome.require_all()


@contextmanager
def _running(
    cluster: Cluster | None, run: Path, quick: bool, model: str | None, place: Place
) -> Iterator[Scheduled | None]:
    """Workers that run studies; None if this process runs them."""
    from functools import partial

    from specframe.scheduling.ray_workers import RayWorkers
    from specframe.storage.user_cache import writing
    from specframe.studies.framework.every_study import runner_on

    if cluster is None:
        yield None
        return
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
    with cluster.joined() as settled:
        make = partial(runner_on, run.absolute(), quick, model, settled.threads, place)
        with RayWorkers.started(settled, make) as workers:
            yield workers


def _report(run: Path) -> None:
    from specframe.bench.report import read_run, write_page

    write_page(run / PAGE, [read_run(run)])


def _tell(text: str) -> None:
    typer.echo(f"{text} ...", err=True)


def _list(json: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from specframe.studies.framework.registry import find_study, study_names

    questions = {name: find_study(name).question for name in study_names()}
    table = Table("study", "question")
    for name, question in questions.items():
        table.add_row(name, question)
    Console().print(table)
    write_figures(json, {"schema_version": 1, "studies": questions})


def _show(chosen: Study, results: Mapping[str, Any]) -> None:
    """Print the rows as tables, one per kind of row, then the answer."""
    from itertools import groupby

    from rich.console import Console
    from rich.table import Table

    from specframe.bench.report.studies import columns, shown

    for keys, rows in groupby(results["rows"], columns):
        table = Table(*keys, title=chosen.title)
        for row in rows:
            table.add_row(*(shown(row[key]) for key in keys))
        Console().print(table)
    typer.echo(results["answer"])
