"""`specframe predict`: predicts the speed-up of a strategy, and checks such predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.options import (
    Device,
    Dtype,
    OldSelector,
    Preset,
    Setting,
    Threads,
    either,
    say_prompts,
)
from specframe.commands.progress import Progress
from specframe.commands.results_file import JsonFile, require_writable, write_figures

if TYPE_CHECKING:
    from specframe.commands.prediction_setup import Setup
    from specframe.contract.selector import LayerSelector
    from specframe.prediction.check import CheckedPlan

__all__ = ["predict", "usual_contexts"]

CHECKED = 12  # plans, at least
NEW_TOKENS = 96
CHECKED_TOKENS = 48  # fewer: more prompts are worth more than longer outputs
FEWEST = 2  # prompts of one prediction, on a slow model
CHECKED_PROMPTS = 8  # of everyday prompts, one of each domain
CONTEXT = 256  # if none is given; with --check several, fewer where generation is slow
SLOW, FAST = (128, 900, 1800), (128, 512, 1024, 1800)


def predict(
    model: Annotated[
        str,
        typer.Option(
            help="testbed, smollm2, planted-19M, planted-1.1B, a folder, a .gguf file or a hub id."
        ),
    ] = "testbed",
    strategy: Annotated[
        str | None,
        typer.Option(
            help="A name that `specframe ls` shows, or a calibrated folder. Default: fixed."
        ),
    ] = None,
    preset: Preset = "best",
    setting: Setting = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="testbed, everyday, random, or a file with one prompt per line, as text or JSON. "
            "Default: everyday; the testbed and planted models have their own."
        ),
    ] = None,
    contexts: Annotated[
        str | None,
        typer.Option(help="Prompt length in tokens; with --check, a comma-separated list."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Number of prompts per length.")
    ] = None,
    new_tokens: Annotated[
        int | None,
        typer.Option(min=16, help="New tokens per prompt. Default: 96; 48 with --check."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Predict many plans and measure them.")
    ] = False,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
    selector: OldSelector = None,
) -> None:
    """Predict the speed-up over autoregressive decoding from this machine's profile."""
    require_writable(json)
    given = either("strategy", strategy, selector)
    named = "fixed" if given is None else given
    from specframe.commands.prediction_setup import Setup, require_source
    from specframe.commands.profile import numbers
    from specframe.contract.naming import option_pairs
    from specframe.doors.second import require_with_models
    from specframe.prompts.usual import usual_prompts
    from specframe.rig import Rig

    lengths = numbers("predict", "contexts", contexts)
    options = option_pairs(setting or [])
    require_with_models(named, preset, options)
    source = prompts or usual_prompts(model)
    require_source(source)
    say_prompts(model, prompts)
    progress = Progress()
    rig = Rig.load(model, device=device, threads=threads, dtype=dtype, tell=progress)
    usual = min(FAST) if check else CONTEXT
    tokens = new_tokens or (CHECKED_TOKENS if check else NEW_TOKENS)
    rig.require_room("A context", max(lengths, default=usual), tokens)
    setup = Setup(rig, source, count, tokens)
    if check:
        _check(setup, lengths or usual_contexts(setup), json)
        return
    chosen = rig.ready_strategy(named, preset, options)
    figures = _predict(setup, chosen, lengths[0] if lengths else CONTEXT)
    progress.end()
    figures = {"schema_version": 1, "model": model, "selector": named, **figures}
    typer.echo(_verdict(figures))
    write_figures(json, figures)


def usual_contexts(setup: Setup) -> tuple[int, ...]:
    """The context lengths that fit into the model together with the new tokens."""
    most = setup.rig.shape.positions - setup.new_tokens
    return tuple(context for context in (SLOW if setup.slow else FAST) if context <= most)


def _predict(setup: Setup, strategy: LayerSelector, context: int) -> dict[str, Any]:
    from specframe.executors.low_bit_copies import weight_bytes
    from specframe.prediction.play import play

    setup.prompts(context, 0, FEWEST)  # refused before prices are measured
    costs = setup.rig.costs
    given = setup.prompts(context, 0, FEWEST if setup.slow else 10)
    played = play(setup.rig, strategy, given, setup.new_tokens)
    speedup = played.speedup(costs.spread)
    n = sum(len(prompt.tokens) for prompt in given) / len(given) + setup.new_tokens / 2
    plain = costs.autoregressive(n)
    return {
        "context": n,
        "speedup": speedup.value,
        "low": speedup.low,
        "high": speedup.high,
        "go": "go" if speedup.low > 1 else "no-go" if speedup.high < 1 else "undecided",
        "acceptance": played.acceptance,
        "tokens": sum(played.tokens),
        "low_bits": played.low_bits,
        "low_bit_bytes": played.low_bytes,
        "low_bit_memory_share": played.low_bytes / weight_bytes(setup.rig.model),
        "autoregressive_tokens_per_second": 1 / plain,
        "hours_saved_per_million_tokens": 1e6 * plain * (1 - 1 / speedup.value) / 3600,
        "warnings": list(setup.rig.price_warnings),
    }


def _verdict(figures: dict[str, Any]) -> str:
    hours = figures["hours_saved_per_million_tokens"]
    gained = f"{hours:.2f} hours saved" if hours >= 0 else f"{-hours:.2f} hours lost"
    lines = [
        f"{figures['go']}: {figures['selector']} on {figures['model']} is predicted at "
        f"{figures['speedup']:.2f}x of autoregressive decoding ({figures['low']:.2f} to "
        f"{figures['high']:.2f}), {gained} per million tokens",
        f"acceptance {figures['acceptance']:.0%} over {figures['tokens']} tokens at a context of "
        f"{figures['context']:.0f}; autoregressive "
        f"{figures['autoregressive_tokens_per_second']:.1f} tokens/s",
    ]
    if figures["low_bits"]:
        lines.append(
            f"drafts run on weights of {figures['low_bits']} bits, which take "
            f"{figures['low_bit_bytes'] / 1e6:.3g} MB, {figures['low_bit_memory_share']:.0%} more "
            f"memory than the weights alone"
        )
    return "\n".join([*lines, *(f"warning: {text}" for text in figures["warnings"])])


def _check(setup: Setup, contexts: tuple[int, ...], json: Path | None) -> None:
    from specframe.prediction.check import check, predict_plans, summary

    count = 1 if setup.slow else CHECKED_PROMPTS
    sets = setup.skip_sets(contexts[0])
    seen = {context: setup.prompts(context, 0, count) for context in contexts}
    fresh = {context: setup.prompts(context, 1000, count) for context in contexts}
    each = -(-CHECKED // len(contexts))
    plans = predict_plans(setup.rig, seen, sets, setup.new_tokens, each)
    write_figures(json, _check_figures(setup, plans, {}))
    typer.echo(f"{len(plans)} plans predicted, now measuring", err=True)
    for i, one in enumerate(check(setup.rig, plans, fresh, setup.new_tokens)):
        plans[i] = one
        typer.echo(_shown(one))
        write_figures(json, _check_figures(setup, plans, {}))  # kept if the check is interrupted
    agreement = summary(plans)
    typer.echo("  ".join(f"{name} {value:.3f}" for name, value in agreement.items()))
    write_figures(json, _check_figures(setup, plans, agreement))


def _shown(one: CheckedPlan) -> str:
    return (
        f"context {one.context:5d}  {one.precision:>6}  skips {len(one.skips):2d}  "
        f"drafts {one.draft_length}  "
        f"predicted {one.predicted.value:.3f} ({one.predicted.low:.2f}-{one.predicted.high:.2f})  "
        f"measured {one.measured:.3f}  tokens a round {one.tokens_per_round:.2f} / "
        f"{one.measured_tokens_per_round:.2f}"
    )


def _check_figures(
    setup: Setup, plans: Sequence[CheckedPlan], agreement: dict[str, float]
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "model": setup.rig.name,
        "facts": dict(setup.rig.costs.facts),
        "new_tokens": setup.new_tokens,
        **agreement,
        "plans": [_plan_figures(one) for one in plans],
    }


def _plan_figures(one: CheckedPlan) -> dict[str, Any]:
    return {
        "context": one.context,
        "skipped_attention": list(one.skips.attention),
        "skipped_mlp": list(one.skips.mlp),
        "precision": one.precision,
        "low_bits": one.skips.low_bits,
        "low_bit": list(one.skips.lowered),
        "low_bit_head": one.skips.low_head,
        "draft_length": one.draft_length,
        "first_token_acceptance": one.acceptance,
        "predicted_tokens_per_round": one.tokens_per_round,
        "predicted": one.predicted.value,
        "low": one.predicted.low,
        "high": one.predicted.high,
        "measured": one.measured,
        "wall_clock": one.wall_clock,
        "measured_tokens_per_round": one.measured_tokens_per_round,
    }
