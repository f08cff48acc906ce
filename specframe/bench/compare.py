"""A whole comparison: load, price, calibrate, ask, sum up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from specframe.bench.fingerprint import fingerprint
from specframe.bench.harness import Explain, Progress, Schedule, run_rows
from specframe.bench.prepare import prepare
from specframe.bench.prompt_map import places
from specframe.bench.run_folder import RESULTS_FILE, RunFolder
from specframe.bench.schema import SCHEMA_VERSION
from specframe.bench.settings import BenchSettings
from specframe.bench.summary import summarise
from specframe.calibration.lab import ModelLab, ends_of, model_facts
from specframe.core.divergence import first_divergence
from specframe.costs.measure import measured_profile
from specframe.doors.loading import PLANTED, load
from specframe.errors import InvalidRequest
from specframe.executors.exactness import known_exactness
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.prompts.suites import BenchPrompt, digest, prompts_from, refuse_overlap
from specframe.types import Prompt

__all__ = ["compare"]

ALIKE = ("processor", "threads", "torch", "specframe")  # what all rows of a run must share
PLANTED_PROMPT = 128  # tokens of a made-up prompt
ASKED_SEED = 10_000  # made-up prompts that are asked; those calibrated on start at 0
CALIBRATION_TOKENS = 64


def compare(
    grid: BenchSettings,
    folder: Path,
    *,
    resume: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Run the grid in a folder of its own; the results are also written there."""
    run = RunFolder(folder)
    if resume:
        run.require_begun()
    with run.held(grid.as_config(), resume, _machine()) as finished:
        model, tokenizer = load(grid.model)
        executor = load_executor(model)
        asked = _asked(grid, tokenizer, executor.shape.vocabulary)
        calibrating = _calibrating(grid, tokenizer, executor.shape.vocabulary, asked)
        refuse_overlap(asked, [digest(prompt.tokens) for prompt in calibrating])
        tell("pricing sublayers on this machine")
        lab = ModelLab(
            executor,
            measured_profile(model, executor).costs,
            new_tokens=CALIBRATION_TOKENS,
            ends=ends_of(model),
            facts=model_facts(model, executor),
        )
        prepared = prepare(grid, model, lab, calibrating, asked[0], folder, tell)
        for facts in prepared.calibration.values():
            refuse_overlap(asked, facts.get("prompts", ()))
        schedule = Schedule(tuple(asked), grid.temperatures, grid.repeats, grid.new_tokens)
        explain = _explainer(executor, asked)
        rows = run_rows(schedule, prepared.contenders, run, finished, report, explain)
        results = {
            "schema_version": SCHEMA_VERSION,
            "run": folder.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": grid.as_config(),
            "environment": fingerprint(executor.device),
            "model": _model_facts(executor),
            "exactness": known_exactness(executor).statement,
            "calibration": _told(prepared.calibration),
            "prompts": [_prompt_facts(prompt) for prompt in asked],
            "vectors": places(lab, asked),
            "rows": rows,
            "summary": summarise(rows),
            "studies": {},
        }
        run.write(RESULTS_FILE, results)
    return results


def _machine() -> dict[str, Any]:
    found = fingerprint(torch.device("cpu"))
    return {name: found[name] for name in ALIKE}


def _explainer(executor: Executor, asked: Sequence[BenchPrompt]) -> Explain:
    """Judges answers that differ by the target's own logits where they part."""
    prompts = {prompt.name: prompt.tokens for prompt in asked}

    def explain(name: str, expected: Sequence[int], got: Sequence[int]) -> Mapping[str, Any] | None:
        found = first_divergence(executor, prompts[name], expected, got)
        return None if found is None else asdict(found)

    return explain


def _asked(grid: BenchSettings, tokenizer: Any, vocabulary: int) -> list[BenchPrompt]:
    if grid.model in PLANTED:
        return [
            BenchPrompt(f"random/{i}", "random", tokens)
            for i, tokens in enumerate(_random(vocabulary, grid.per_domain, ASKED_SEED))
        ]
    asked = prompts_from(
        grid.prompts,
        tokenizer,
        domains=grid.domains,
        per_domain=grid.per_domain,
        contexts=grid.contexts,
    )
    if not asked:
        raise InvalidRequest(f"{grid.prompts!r} holds no prompts. Name a file that does.")
    return asked


def _calibrating(
    grid: BenchSettings, tokenizer: Any, vocabulary: int, asked: Sequence[BenchPrompt]
) -> list[Prompt]:
    """Validation prompts of the testbed; of a file, those that are not asked."""
    if grid.model in PLANTED:
        drawn = _random(vocabulary, grid.calibration_prompts, 0)
        return [Prompt(tokens, "random") for tokens in drawn]
    wanted = grid.calibration_prompts
    if grid.prompts == "testbed":
        found = prompts_from(
            "testbed", tokenizer, domains=grid.domains, per_domain=wanted, split="validation"
        )
        return [Prompt(prompt.tokens, prompt.domain) for prompt in found]
    every = prompts_from(
        grid.prompts, tokenizer, domains=grid.domains, per_domain=grid.per_domain + wanted
    )
    taken = {digest(prompt.tokens) for prompt in asked}
    left = [prompt for prompt in every if digest(prompt.tokens) not in taken]
    return [Prompt(prompt.tokens, prompt.domain) for prompt in left]


def _random(vocabulary: int, count: int, seed: int) -> list[tuple[int, ...]]:
    from specframe.prompts.prediction import random_prompts

    return [tuple(tokens) for tokens in random_prompts(vocabulary, PLANTED_PROMPT, count, seed)]


def _model_facts(executor: Any) -> dict[str, Any]:
    dtype = str(executor.dtype).removeprefix("torch.")
    return asdict(executor.shape) | {"dtype": dtype, "executor": executor.name}


def _told(calibration: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: {**facts, "prompts": len(facts.get("prompts", ()))}
        for name, facts in calibration.items()
    }


def _prompt_facts(prompt: BenchPrompt) -> dict[str, Any]:
    facts: Sequence[tuple[str, Any]] = (
        ("name", prompt.name),
        ("domain", prompt.domain),
        ("context", prompt.context),
        ("tokens", len(prompt.tokens)),
        ("digest", digest(prompt.tokens)),
    )
    return dict(facts)
