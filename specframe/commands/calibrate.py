"""`specframe calibrate`: let a strategy learn from prompts, and keep what it learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.options import Preset, Setting, say_prompts
from specframe.commands.results_file import JsonFile, require_writable, write_figures

if TYPE_CHECKING:
    from specframe.calibration.budget import Shared
    from specframe.contract.selector import LayerSelector
    from specframe.rig import Rig
    from specframe.types import Prompt, SkipSet

__all__ = ["calibrate"]

EVERY = 5.0  # seconds between lines where there is no terminal to rewrite one on
NEW_TOKENS = 64


def calibrate(
    name: Annotated[str, typer.Argument(help="A strategy that learns offline, e.g. static-bo.")],
    out: Annotated[Path, typer.Option(help="The folder that will hold what was learnt.")],
    model: Annotated[
        str,
        typer.Option(
            help="testbed, smollm2, planted-19M, planted-1.1B, a folder, a .gguf file or a hub id."
        ),
    ] = "testbed",
    prompts: Annotated[
        str | None,
        typer.Option(
            help='A file with {"prompt": ..., "domain": ...} per line, or everyday (prompts in '
            "English that come with specframe), which is used if none is given. The testbed has "
            "its own: validation prompts, or training prompts where weights are trained."
        ),
    ] = None,
    preset: Preset = "best",
    setting: Setting = None,
    per_domain: Annotated[
        int | None,
        typer.Option(min=3, help="Prompts of each domain; by default what the strategy asks for."),
    ] = None,
    new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of each stored answer that sets are judged on.")
    ] = NEW_TOKENS,
    json: JsonFile = None,
) -> None:
    """Search skip sets on some prompts, judge them on others, and write the strategy to OUT.

    The same command given again resumes a calibration that was interrupted.
    """
    require_writable(json)
    _require_folder(out)
    from specframe.calibration.run import calibrate_and_keep, resumable_lab
    from specframe.rig import Rig

    say_prompts(model, prompts)
    began = perf_counter()
    progress = _Progress()
    rig = Rig.load(model, tell=progress)
    strategy = _strategy(rig, name, preset, setting or [])
    traits = strategy.traits
    asked = _prompts(rig, prompts, per_domain or traits.prompts, traits.split)
    shared = _budget(rig, strategy, asked, new_tokens, perf_counter() - began)
    if shared is not None:
        progress.end()
        typer.echo(shared.sentence, err=True)
        asked, new_tokens = list(shared.answers.prompts), shared.answers.new_tokens
        left = replace(strategy.config, seconds=shared.total)  # type: ignore[attr-defined]
        strategy = replace(strategy, config=left)  # type: ignore[type-var]
    lab = resumable_lab(rig, asked, out, new_tokens=new_tokens)
    calibrated = calibrate_and_keep(strategy, lab, asked, out).strategy
    progress.end()
    seconds = perf_counter() - began
    _show(name, calibrated, out, seconds)
    figures = {
        "schema_version": 1,
        "selector": name,
        "preset": preset,
        "model": model,
        "prompts": len(asked),
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
    """What the strategy's seconds are spent on, `spent` less; None where that cannot be told."""
    from specframe.calibration.budget import shared_between

    seconds = getattr(getattr(strategy, "config", None), "seconds", 0.0)
    if not seconds:
        return None
    priced = perf_counter()
    costs = rig.costs  # measured now, where no profile is kept: part of the seconds
    if not costs.facts:  # not measured: they say nothing of seconds
        return None
    left = seconds - spent - (perf_counter() - priced)
    return shared_between(1, costs, prompts, new_tokens, max(left, 1.0))


class _Progress:
    """One line on standard error that is rewritten, or a line now and then where it is a file."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._what, self._first = "", 0
        self._began = self._shown = perf_counter()

    def __call__(self, what: str, done: int, of: int) -> None:
        now = perf_counter()
        if what != self._what:
            self._what, self._began, self._first = what, now, done
        passed = now - self._began
        line = f"{what}: {done} of {of}"
        if done > self._first:
            line += f", {passed / (done - self._first) * (of - done):.0f} s left"
        if self._console.is_terminal:
            self._console.print(f"{line:<78}", end="\r", highlight=False)
        elif now - self._shown > EVERY or done == of:
            self._console.print(line, highlight=False)
            self._shown = now

    def end(self) -> None:
        """Clear the line."""
        if self._console.is_terminal:
            self._console.print(" " * 78, end="\r")


def _strategy(rig: Rig, name: str, preset: str, settings: list[str]) -> LayerSelector:
    from specframe.contract.drafting_options import DRAFTING_OPTIONS
    from specframe.contract.naming import option_pairs
    from specframe.contract.registry import strategy_class, strategy_names
    from specframe.errors import InvalidRequest

    if not strategy_class(name).traits.calibrated:
        known = [n for n in strategy_names() if strategy_class(n).traits.calibrated]
        raise InvalidRequest(
            f"{name} needs no calibration: use it as it is. Those that do: {', '.join(known)}."
        )
    options = option_pairs(settings)
    if drafting := [option for option in DRAFTING_OPTIONS if option in options]:
        raise InvalidRequest(
            f"{drafting[0]} is set when a strategy is used, not when it is calibrated. Leave it "
            f"out."
        )
    return rig.strategy(name, preset, options)


def _prompts(rig: Rig, source: str | None, per_domain: int, split: Any) -> list[Prompt]:
    from specframe.errors import InvalidRequest
    from specframe.prompts.random import random_prompts
    from specframe.prompts.source import prompts_from
    from specframe.prompts.usual import RANDOM, usual_prompts

    chosen = source or usual_prompts(rig.name)
    if chosen == RANDOM:
        return random_prompts(rig.shape.vocabulary, 64, per_domain)
    if rig.tokenizer is None:
        raise InvalidRequest(f"{rig.name!r} has no tokenizer to read prompts with. Leave them out.")
    return prompts_from(chosen, rig.tokenizer, per_domain=per_domain, split=split)


def _require_folder(out: Path) -> None:
    """Refuse a folder that cannot be written before minutes are spent."""
    import os

    from specframe.errors import InvalidRequest

    try:
        out.mkdir(parents=True, exist_ok=True)
        writable = os.access(out, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise InvalidRequest(
            f"{str(out)!r} is no folder that can be written. Name another one with --out."
        )


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
    typer.echo(f"{name} is calibrated, in {seconds:.0f} s. Use it: --strategy {out}")
