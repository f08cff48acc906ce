"""The comparison, as `specframe bench` without a sub-command and as `specframe compare`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.interrupts import resumable
from specframe.commands.options import (
    GpusPerWorker,
    OldSelectors,
    Ray,
    Threads,
    Workers,
    cluster_of,
    either,
    say_prompts,
)
from specframe.commands.results_file import (
    JsonFile,
    require_folder,
    require_writable,
    write_figures,
)
from specframe.commands.run_paths import PAGE, new_run
from specframe.testbed.disclosure import DISCLOSURE

if TYPE_CHECKING:
    from specframe.bench.harness import Progress
    from specframe.bench.settings import BenchSettings
    from specframe.scheduling.ray_workers import Cluster

__all__ = ["compare", "compare_with_settings"]

EVERY = 5.0  # seconds between lines of progress
# what lets all strategies end within five minutes on two cores, where a quick bench has four
QUICK: dict[str, Any] = {"calibration_seconds": 10.0, "new_tokens": 48}

Model = Annotated[
    str | None,
    typer.Option(help="testbed, smollm2, planted-1.1B, a folder, a .gguf file or a hub id."),
]
Strategies = Annotated[
    str | None, typer.Option(help="Names or folders with commas between them, or all.")
]
Domains = Annotated[str | None, typer.Option(help="Domains with commas between them.")]
Prompts = Annotated[
    str | None,
    typer.Option(
        help="testbed, everyday, a file of one JSON object per line, or datasets:ID; everyday if "
        "not given, except for the testbed."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; cpu if not given.")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="auto (that of the stored weights), bfloat16, float16 or float32; auto if not given."
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where the run is kept; results/TIME if not given."),
]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Resume an interrupted run; give its options again."),
]


def compare_with_settings(
    context: typer.Context,
    preset: Annotated[str, typer.Option(help="quick, standard or full.")] = "quick",
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Settings that change the preset.")
    ] = None,
    model: Model = None,
    strategies: Strategies = None,
    domains: Domains = None,
    prompts: Prompts = None,
    run: Run = None,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the settings and stop.")] = False,
    threads: Threads = None,
    device: Device = None,
    dtype: Dtype = None,
    ray: Ray = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    json: JsonFile = None,
    selectors: OldSelectors = None,
) -> None:
    """Compare strategies with autoregressive decoding and transformers, on this machine.

    Without options: the four headline strategies on the testbed, then on the real model smollm2
    where it can be fetched.
    """
    if context.invoked_subcommand is not None:
        return
    require_writable(json)
    named = either("strategies", strategies, selectors)
    from specframe.bench.settings import PRESETS
    from specframe.errors import InvalidConfig

    if preset not in PRESETS:
        raise InvalidConfig.of("bench", "preset", " or ".join(PRESETS), preset)
    settings = _settings(PRESETS[preset], grid, model, named, domains, prompts, device, dtype)
    if dry_run:
        for name, value in settings.as_config().items():
            typer.echo(f"{name} = {value}")
        return
    cluster = cluster_of(ray, workers, gpus_per_worker, threads, settings.device)
    folder = resume or run or new_run()
    results = _compared(settings, folder, resume is not None, threads, cluster)
    write_figures(json, results)
    if settings == PRESETS["quick"]:
        write_figures(json, _with_real_model(results, folder, cluster))


def compare(
    model: Model = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            help="Names or folders with commas between them, or all; if not given, all on the "
            "testbed, and those that are most often fast on any other model."
        ),
    ] = None,
    domains: Domains = None,
    prompts: Prompts = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer prompts or strategies, and less calibration.")
    ] = False,
    run: Run = None,
    resume: Resume = None,
    threads: Threads = None,
    device: Device = None,
    dtype: Dtype = None,
    ray: Ray = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    json: JsonFile = None,
    selectors: OldSelectors = None,
) -> None:
    """Find the fastest strategy for a model, on this machine and your text.

    Strategies and transformers answer the same prompts, one after another. `specframe bench` has
    more options.
    """
    require_writable(json)
    named = either("strategies", strategies, selectors)
    usual = _usual_settings(model, prompts, quick, named)
    settings = _settings(usual, None, model, named, domains, prompts, device, dtype)
    cluster = cluster_of(ray, workers, gpus_per_worker, threads, settings.device)
    folder = resume or run or new_run()
    shortened = usual.model != "testbed"
    write_figures(
        json, _compared(settings, folder, resume is not None, threads, cluster, shortened)
    )


def _usual_settings(
    model: str | None, prompts: str | None, quick: bool, strategies: str | None
) -> BenchSettings:
    """All strategies on the testbed; on another model what ends within minutes."""
    from specframe.bench.real_model import ALL_COMPARED, COMPARED, OWN_PROMPTS, REAL
    from specframe.bench.settings import PRESETS
    from specframe.prompts.usual import EVERYDAY, usual_prompts

    if model is None or usual_prompts(model) != EVERYDAY:
        settings = PRESETS["quick" if quick else "standard"]
        return replace(settings, strategies=("all",), **(QUICK if quick else {}))
    settings = ALL_COMPARED if "all" in (_names(strategies) or ()) else COMPARED
    settings = replace(REAL, calibration_seconds=10.0) if quick else settings
    return settings if prompts in (None, EVERYDAY) else replace(settings, **OWN_PROMPTS)


def _compared(
    settings: BenchSettings,
    folder: Path,
    resume: bool,
    threads: int | None,
    cluster: Cluster | None = None,
    shortened: bool = False,
) -> dict[str, Any]:
    require_folder(folder)
    say_prompts(settings.model, settings.prompts or None)
    from specframe.bench.compare import compare
    from specframe.bench.real_model import left_out
    from specframe.doors.loading import located
    from specframe.executors.device import compute_with

    located(settings.model)  # a model that was not fetched is refused before a run begins
    if cluster is None:
        compute_with(threads)
    if shortened:
        typer.echo(left_out(settings))
    began = perf_counter()
    progress = _Progress()
    with _resumable(folder):
        results = compare(
            settings, folder, resume=resume, tell=progress.tell, report=progress, cluster=cluster
        )
    _finish(results, folder, perf_counter() - began)
    return results


def _resumable(folder: Path) -> AbstractContextManager[None]:
    from specframe.bench.run_folder import CONFIG

    return resumable(folder / CONFIG, f"repeat the command with --resume {folder} to go on.")


def _with_real_model(
    results: dict[str, Any], folder: Path, cluster: Cluster | None
) -> dict[str, Any]:
    """The same strategies on a real model; one line says why where that cannot be."""
    from specframe.bench.real_model import KEY, REAL, add_real_model, fetched_or_why
    from specframe.commands.fetch import Progress as FetchProgress

    typer.echo(DISCLOSURE)
    if why := fetched_or_why(FetchProgress()):
        typer.echo(f"The real model {REAL.model} is left out: {why}")
        return results
    typer.echo(f"Now {REAL.model}, which was not trained to be skippable.")
    began, progress = perf_counter(), _Progress()
    with _resumable(folder):
        whole = add_real_model(
            results, folder, REAL, tell=progress.tell, report=progress, cluster=cluster
        )
    _finish(whole[KEY], folder, perf_counter() - began)
    return whole


def _settings(
    settings: BenchSettings,
    file: Path | None,
    model: str | None,
    strategies: str | None,
    domains: str | None,
    prompts: str | None,
    device: str | None,
    dtype: str | None,
) -> BenchSettings:
    from specframe.bench.settings import settings_from_toml

    if file is not None:
        settings = settings_from_toml(file, settings)
    given: dict[str, Any] = {
        "model": model,
        "prompts": prompts,
        "strategies": _names(strategies),
        "domains": _names(domains),
        "device": device,
        "dtype": dtype,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _finish(results: dict[str, Any], folder: Path, seconds: float) -> None:
    """Print the comparison, and draw the page of all that the run has so far."""
    from specframe.bench.report import Comparison, read_run, verdict, write_page
    from specframe.bench.run_folder import RESULTS_FILE
    from specframe.commands.comparison_table import print_comparison

    print_comparison(results)
    write_page(folder / PAGE, [read_run(folder)])
    typer.echo(verdict(Comparison(results)).sentence)
    typer.echo(f"Written: {folder / RESULTS_FILE} and {folder / PAGE}")
    for one in results["failed"]:
        typer.echo(
            f"missing: {one['selector']} on {one['prompt']}, temperature {one['temperature']:g}, "
            f"repeat {one['repeat']}: three workers died on it",
            err=True,
        )
    calibrating = sum(facts.get("seconds") or 0.0 for facts in results["calibration"].values())
    typer.echo(f"Took {seconds:.0f} s, {calibrating:.0f} s of it calibration")


class _Progress:
    """Tells now and then how far the run is and how long it will take."""

    def __init__(self) -> None:
        self._began = self._shown = perf_counter()
        self._first: int | None = None

    def tell(self, text: str) -> None:
        """Something that takes a while begins."""
        typer.echo(f"{text} ...", err=True)
        self._shown = self._began = perf_counter()

    def __call__(self, progress: Progress) -> None:
        now = perf_counter()
        if self._first is None:
            self._first, self._began = progress.done, now
            return  # how long an answer takes is not known yet
        if now - self._shown < EVERY and progress.done < progress.total:
            return
        self._shown = now
        answered = progress.done - self._first
        left = (now - self._began) / answered * (progress.total - progress.done)
        typer.echo(f"{progress.done} of {progress.total} answers, {left:.0f} s left", err=True)
