"""The comparison of strategies: `specframe bench` without a sub-command, `specframe compare`."""

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
    PAGE,
    JsonFile,
    new_run,
    require_folder,
    require_writable,
    write_figures,
)
from specframe.testbed.disclosure import DISCLOSURE

if TYPE_CHECKING:
    from specframe.bench.harness import Progress
    from specframe.bench.settings import BenchSettings
    from specframe.scheduling.ray_workers import Cluster

__all__ = ["compare", "compare_with_settings"]

EVERY = 5.0  # seconds between lines of progress
# with these, all strategies take at most five minutes on two cores
QUICK: dict[str, Any] = {"calibration_seconds": 10.0, "new_tokens": 48}

Model = Annotated[
    str | None,
    typer.Option(help="testbed, smollm2, planted-1.1B, a folder, a .gguf file or a hub id."),
]
Strategies = Annotated[str | None, typer.Option(help="Comma-separated names or folders, or all.")]
Domains = Annotated[str | None, typer.Option(help="Comma-separated domains.")]
Prompts = Annotated[
    str | None,
    typer.Option(
        help="testbed, everyday, a file with one JSON object per line, or datasets:ID. Default: "
        "everyday; the testbed has its own."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda. Default: cpu.")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="auto (the dtype of the stored weights), bfloat16, float16 or float32. Default: auto."
    ),
]
Run = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder of the run. Default: results/TIME.")
]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Resume an interrupted run; give its options again."),
]


def compare_with_settings(
    context: typer.Context,
    preset: Annotated[str, typer.Option(help="Preset: quick, standard or full.")] = "quick",
    grid: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Settings that override the preset.")
    ] = None,
    model: Model = None,
    strategies: Strategies = None,
    domains: Domains = None,
    prompts: Prompts = None,
    run: Run = None,
    resume: Resume = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the settings and exit.")] = False,
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

    Without options, it compares the four headline strategies on the testbed, then on the real
    model smollm2 if it can be fetched.
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
            help="Comma-separated names or folders, or all. Default: all on the testbed; on other "
            "models, the strategies that are fast most often."
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

    Strategies and transformers run on the same prompts, one after another. `specframe bench` has
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
    """All strategies on the testbed; on other models, a comparison that takes minutes."""
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

    return resumable(folder / CONFIG, f"repeat the command with --resume {folder} to continue.")


def _with_real_model(
    results: dict[str, Any], folder: Path, cluster: Cluster | None
) -> dict[str, Any]:
    """Add the same strategies on a real model; print why if that is not possible."""
    from specframe.bench.real_model import KEY, REAL, add_real_model, fetched_or_why
    from specframe.commands.fetch import Progress as FetchProgress

    typer.echo(DISCLOSURE)
    if why := fetched_or_why(FetchProgress()):
        typer.echo(f"The real model {REAL.model} is left out: {why}")
        return results
    typer.echo(f"Next: {REAL.model}, which was not trained with skipped sublayers.")
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
    """Print the comparison, and write the HTML page of the run so far."""
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
    typer.echo(f"Took {seconds:.0f} s, including {calibrating:.0f} s of calibration")


class _Progress:
    """Prints the progress of a run and the time left, every few seconds."""

    def __init__(self) -> None:
        self._began = self._shown = perf_counter()
        self._first: int | None = None

    def tell(self, text: str) -> None:
        """Print that a longer step begins."""
        typer.echo(f"{text} ...", err=True)
        self._shown = self._began = perf_counter()

    def __call__(self, progress: Progress) -> None:
        now = perf_counter()
        if self._first is None:
            self._first, self._began = progress.done, now
            return  # nothing is timed yet
        if now - self._shown < EVERY and progress.done < progress.total:
            return
        self._shown = now
        timed = progress.done - self._first
        left = (now - self._began) / timed * (progress.total - progress.done)
        typer.echo(f"{progress.done} of {progress.total} generations, {left:.0f} s left", err=True)
