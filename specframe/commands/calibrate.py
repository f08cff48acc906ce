"""`specframe calibrate`: calibrate a strategy on prompts and save it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from specframe.commands.interrupts import resumable
from specframe.commands.options import (
    Device,
    Dtype,
    GpusPerWorker,
    Preset,
    Ray,
    Setting,
    Threads,
    Workers,
    cluster_of,
    say_prompts,
)
from specframe.commands.progress import Progress
from specframe.commands.results_file import (
    JsonFile,
    require_folder,
    require_writable,
    write_figures,
)

if TYPE_CHECKING:
    from specframe.calibration.budget import Shared
    from specframe.contract.selector import LayerSelector
    from specframe.rig import Rig
    from specframe.types import Prompt, SkipSet

__all__ = ["calibrate"]

NEW_TOKENS = 64


def calibrate(
    name: Annotated[str, typer.Argument(help="A strategy that needs calibration, e.g. static-bo.")],
    out: Annotated[Path, typer.Option(help="The folder to write the calibrated strategy to.")],
    model: Annotated[
        str,
        typer.Option(
            help="testbed, smollm2, planted-19M, planted-1.1B, a folder, a .gguf file or a hub id."
        ),
    ] = "testbed",
    prompts: Annotated[
        str | None,
        typer.Option(
            help='A file with {"prompt": ..., "domain": ...} per line, or everyday (English '
            "prompts included in specframe). Default: everyday; the testbed has its own: "
            "validation prompts, or training prompts if the strategy trains weights."
        ),
    ] = None,
    preset: Preset = "best",
    setting: Setting = None,
    per_domain: Annotated[
        int | None,
        typer.Option(min=3, max=1000, help="Prompts per domain. Default: depends on the strategy."),
    ] = None,
    new_tokens: Annotated[
        int, typer.Option(min=1, help="New tokens per prompt; skip sets are evaluated on them.")
    ] = NEW_TOKENS,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    ray: Ray = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    json: JsonFile = None,
) -> None:
    """Search for skip sets on some prompts, evaluate them on others, write the strategy to OUT.

    Run the same command again to resume an interrupted calibration.
    """
    require_writable(json)
    require_folder(out)
    from specframe.calibration.run import (
        NOTES,
        calibrate_and_keep,
        require_own_folder,
        resumable_lab,
    )
    from specframe.calibration.shared_lab import lab_made_on
    from specframe.contract.registry import strategy_class
    from specframe.prompts.source import (
        calibration_prompts,
        from_file,
        prompts_from,
        require_prompts,
        unread,
    )
    from specframe.prompts.usual import usual_prompts
    from specframe.rig import Rig
    from specframe.storage.whole_folder import held_alone

    cluster = cluster_of(ray, workers, gpus_per_worker, threads, device)
    options = _options(name, preset, setting or [])
    require_own_folder(out, name)
    source = prompts or usual_prompts(model)
    require_prompts(source)
    learner = strategy_class(name)
    count = per_domain or learner.traits.prompts
    if from_file(source):
        learner.require_prompts(prompts_from(source, unread, per_domain=count))
    say_prompts(model, prompts)
    began = perf_counter()
    progress = Progress()
    rig = Rig.load(model, device=device, threads=threads, dtype=dtype, tell=progress)
    strategy = rig.strategy(name, preset, options)
    chosen = calibration_prompts(source, rig, count, learner.traits.split)
    learner.require_prompts(chosen)
    rig.require_room_for(chosen, new_tokens)
    rig = rig.with_checked_prices(partial(typer.echo, err=True))
    shared = _budget(rig, strategy, chosen, new_tokens, perf_counter() - began)
    if shared is not None:
        progress.end()
        typer.echo(shared.sentence, err=True)
        chosen, new_tokens = list(shared.answers.prompts), shared.answers.new_tokens
        left = replace(strategy.config, seconds=shared.total)  # type: ignore[attr-defined]
        strategy = replace(strategy, config=left)  # type: ignore[type-var]
    with (
        resumable(out / NOTES, "the same command continues."),
        held_alone(out),
        lab_made_on(cluster, rig, new_tokens) as make,
    ):
        lab = resumable_lab(rig, chosen, out, new_tokens=new_tokens, make=make)
        calibrated = calibrate_and_keep(strategy, lab, chosen, out).strategy
    progress.end()
    seconds = perf_counter() - began
    _show(name, calibrated, out, seconds)
    figures = {
        "schema_version": 1,
        "selector": name,
        "preset": preset,
        "model": model,
        "prompts": len(chosen),
        "new_tokens": new_tokens,
        "seconds": seconds,
        "sets": {name: found.figures() for name, found in calibrated.skip_sets().items()},
        **calibrated.figures(),
        "warnings": list(calibrated.warnings()),
        "notes": list(calibrated.notes()),
    }
    write_figures(json, figures)


def _budget(
    rig: Rig, strategy: LayerSelector, prompts: list[Prompt], new_tokens: int, spent: float
) -> Shared | None:
    """How to divide the strategy's `seconds`, of which `spent` are gone; None if not limited."""
    from specframe.calibration.budget import shared_between

    seconds = getattr(getattr(strategy, "config", None), "seconds", 0.0)
    if not seconds:
        return None
    priced = perf_counter()
    costs = rig.costs  # measured now if no profile is stored: counts as well
    if not costs.facts:  # not measured, so not in seconds
        return None
    left = seconds - spent - (perf_counter() - priced)
    return shared_between(1, costs, prompts, new_tokens, max(left, 1.0))


def _options(name: str, preset: str, settings: list[str]) -> dict[str, str]:
    """The settings; refused if they do not fit the strategy, or if it needs no calibration."""
    from specframe.contract.drafting_options import DRAFTING_OPTIONS
    from specframe.contract.naming import option_pairs, require_strategy
    from specframe.contract.registry import strategy_class, strategy_names
    from specframe.errors import InvalidRequest

    if not strategy_class(name).traits.calibrated:
        known = [n for n in strategy_names() if strategy_class(n).traits.calibrated]
        raise InvalidRequest(
            f"{name} needs no calibration; use it directly. Strategies that need it: "
            f"{', '.join(known)}."
        )
    options = option_pairs(settings)
    if drafting := [option for option in DRAFTING_OPTIONS if option in options]:
        raise InvalidRequest(
            f"{drafting[0]} is set when a strategy is used, not when it is calibrated. Leave it "
            f"out."
        )
    require_strategy(name, preset, options)
    return options


def _states(skips: SkipSet, mlp: bool) -> str:
    """How many attention or MLP sublayers are skipped, and how many run on low-bit weights."""
    skipped = len(skips.mlp if mlp else skips.attention)
    lowered = sum(sublayer % 2 == mlp for sublayer in skips.lowered)
    low = f", {lowered} of {skips.low_bits} bits" if lowered else ""
    return f"{skipped} skipped{low}"


def _show(name: str, calibrated: LayerSelector, out: Path, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from specframe.bench.report.wording import bytes_

    sets = calibrated.skip_sets()
    copies = any(found.low_bit_bytes for found in sets.values())
    columns = ["set", "acceptance, unseen", "draft", "predicted", "attention", "MLP"]
    table = Table(*columns, *["low-bit copies"] * copies)
    for domain, found in sets.items():
        share = found.acceptance
        table.add_row(
            domain,
            f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})",
            str(found.draft),
            f"{found.speed:.2f} x",
            *(_states(found.skips, mlp) for mlp in (False, True)),
            *[bytes_(found.low_bit_bytes)] * copies,
        )
    if table.row_count:
        Console().print(table)
    for note in calibrated.notes():
        typer.echo(note)
    for warning in calibrated.warnings():
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"Calibrated {name} in {seconds:.0f} s. Use it with --strategy {out}")
