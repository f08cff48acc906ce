"""`specframe calibrate`: let a strategy learn from prompts, and keep what it learnt."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.results_file import JsonFile, require_writable, write_figures

if TYPE_CHECKING:
    from specframe.calibration.lab import ModelLab
    from specframe.contract.selector import LayerSelector
    from specframe.executors.executor import Executor
    from specframe.types import ModelShape, Prompt

__all__ = ["register"]

NOTES = "measurements.jsonl"
EVERY = 5.0  # seconds between lines where there is no terminal to rewrite one on
NEW_TOKENS = 64


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    name: Annotated[str, typer.Argument(help="A strategy that learns offline, e.g. static-bo.")],
    out: Annotated[Path, typer.Option(help="The folder that will hold what was learnt.")],
    model: Annotated[
        str, typer.Option(help="testbed, planted-19M, planted-1.1B, a folder or a hub id.")
    ] = "testbed",
    prompts: Annotated[
        str | None,
        typer.Option(
            help='A file with {"prompt": ..., "domain": ...} per line. The testbed has its own: '
            "validation prompts, or training prompts where weights are trained."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="best or faithful.")] = "best",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="name=value for the strategy; repeatable.")
    ] = None,
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

    A calibration that was interrupted goes on where it stopped when the same command is given
    again.
    """
    require_writable(json)
    _require_folder(out)
    from specframe.contract.naming import option_pairs
    from specframe.doors.loading import load
    from specframe.executors.load import load_executor

    began = perf_counter()
    progress = _Progress()
    language_model, tokenizer = load(model)
    executor = load_executor(language_model)
    selector = _selector(name, executor.shape, preset, option_pairs(setting or []))
    traits = selector.traits
    asked = _prompts(
        prompts, model, tokenizer, per_domain or traits.prompts, traits.split, executor.shape
    )
    lab = _lab(language_model, executor, new_tokens, _digests(asked), progress, out / NOTES)
    calibrated = selector.calibrate(lab, asked)
    progress.end()
    _keep(calibrated, _digests(asked), out)
    figures, seconds = calibrated.figures(), perf_counter() - began
    _show(name, figures, out, seconds)
    told: dict[str, Any] = {"selector": name, "preset": preset, "model": model}
    told |= {"prompts": len(asked), "new_tokens": new_tokens, "seconds": seconds}
    write_figures(json, {"schema_version": 1, **told, **figures})


def _lab(
    model: Any,
    executor: Executor,
    new_tokens: int,
    digests: list[str],
    progress: _Progress,
    notes: Path,
) -> ModelLab:
    """Over this machine's prices; what it measures is kept in the notes."""
    from specframe.calibration.lab import ModelLab, ends_of, model_facts
    from specframe.costs.measure import measured_profile

    profile = measured_profile(
        model, executor, progress=lambda done, of: progress("pricing", done, of)
    )
    return ModelLab(
        executor,
        profile.costs,
        new_tokens=new_tokens,
        ends=ends_of(model),
        facts=model_facts(model, executor) | {"prompts": _digest_all(digests)},
        tell=progress,
        notes=notes,
    )


def _keep(calibrated: LayerSelector, digests: list[str], out: Path) -> None:
    """What was learnt and on which prompts; measurements are not needed any more."""
    from specframe.prompts.suites import CALIBRATED_ON
    from specframe.storage.user_cache import write_json

    write_json(out / CALIBRATED_ON, digests)
    calibrated.save(out)
    (out / NOTES).unlink(missing_ok=True)


def _digests(prompts: list[Prompt]) -> list[str]:
    from specframe.prompts.suites import digest

    return [digest(prompt.tokens) for prompt in prompts]


def _digest_all(digests: list[str]) -> str:
    """One name for a list of prompts."""
    import hashlib

    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]


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


def _selector(name: str, shape: Any, preset: str, options: dict[str, str]) -> LayerSelector:
    from specframe.contract.registry import strategy_class, strategy_names
    from specframe.errors import InvalidRequest

    found = strategy_class(name)
    if not found.traits.calibrated:
        known = [n for n in strategy_names() if strategy_class(n).traits.calibrated]
        raise InvalidRequest(
            f"{name} needs no calibration: use it as it is. Those that do: {', '.join(known)}."
        )
    return found.configured(shape, preset, **options)


def _prompts(
    source: str | None, model: str, tokenizer: Any, per_domain: int, split: str, shape: ModelShape
) -> list[Prompt]:
    from specframe.doors.loading import PLANTED
    from specframe.errors import InvalidRequest
    from specframe.types import Prompt

    if source is None and model in PLANTED:
        from specframe.prompts.prediction import random_prompts

        drawn = random_prompts(shape.vocabulary, 64, per_domain, 0)
        return [Prompt(tuple(tokens), "random") for tokens in drawn]
    if source is None and model != "testbed":
        raise InvalidRequest(
            f"Prompts for {model!r} are not known. Pass --prompts FILE with a JSON object a line, "
            f'{{"prompt": ..., "domain": ...}}, like those the model will see.'
        )
    from specframe.prompts.suites import prompts_from

    if tokenizer is None:
        raise InvalidRequest(f"{model!r} has no tokenizer to read prompts with. Leave them out.")
    asked = prompts_from(source or "testbed", tokenizer, per_domain=per_domain, split=split)
    return [Prompt(prompt.tokens, prompt.domain) for prompt in asked]


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


def _show(name: str, figures: dict[str, Any], out: Path, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("set", "acceptance, unseen", "draft", "predicted", "attention", "MLP")
    for domain, row in figures.get("sets", {}).items():
        value, low, high = (row[f"acceptance{end}"] for end in ("", "_low", "_high"))
        table.add_row(
            domain,
            f"{value:.2f} ({low:.2f} to {high:.2f})",
            str(row["draft"]),
            f"{row['speed']:.2f} x",
            f"{len(row['attention'])} skipped",
            f"{len(row['mlp'])} skipped",
        )
    console = Console()
    if table.row_count:
        console.print(table)
    for note in figures.get("notes", []):
        typer.echo(note)
    for warning in figures.get("warnings", []):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{name} is calibrated, in {seconds:.0f} s. Use it: --selector {out}")
