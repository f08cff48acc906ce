"""A whole comparison: load the model, price it, calibrate, measure and summarise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from specframe.bench.asking import Question, Questions
from specframe.bench.fingerprint import fingerprint, worker_facts
from specframe.bench.harness import Explain, Progress, Schedule, run_rows
from specframe.bench.prepare import (
    calibrating_strategies,
    planned,
    prepare,
    require_prompts_to_learn_from,
)
from specframe.bench.prompt_map import prompt_map
from specframe.bench.prompts import benchmark_prompts, calibration_prompts
from specframe.bench.remote import StationPlan
from specframe.bench.rounding import round_if_quick
from specframe.bench.run_folder import ANY, RESULTS_FILE, RunFolder
from specframe.bench.schema import SCHEMA_VERSION
from specframe.bench.settings import BenchSettings
from specframe.bench.station import Station
from specframe.bench.summary import summarise
from specframe.calibration.budget import Shared, shared_between
from specframe.calibration.run import refuse_overlap
from specframe.contract.naming import read_named
from specframe.core.divergence import first_divergence
from specframe.doors.loading import PLANTED, require_name
from specframe.doors.second import require_with_models
from specframe.executors.device import compute_with, require_device, require_dtype
from specframe.executors.exactness import known_exactness
from specframe.executors.executor import Executor
from specframe.executors.low_bit_copies import weight_bytes
from specframe.prompts.source import from_file, require_prompts, unread
from specframe.remote_rig import RigPlan, facts_that_count, require_alike
from specframe.rig import Rig
from specframe.scheduling.ray_workers import Cluster, RayWorkers
from specframe.scheduling.workers import InThisProcess, Workers
from specframe.types import Prompt

__all__ = ["compare"]

EVERY = "all"  # strategies
ALIKE = ("processor", "threads", "torch", "specframe")  # what all rows of a run must share
IN_ROWS = ("processor", "threads")
CALIBRATION_TOKENS = 64


def compare(
    settings: BenchSettings,
    folder: Path,
    *,
    resume: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    report: Callable[[Progress], None] = lambda progress: None,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Run the comparison in a folder; the results are also written there.

    On a cluster, the workers generate; this process calibrates and writes the folder.
    """
    _require(settings)
    if cluster is None:
        return _compared(settings, folder, resume, tell, report, None)
    with cluster.joined() as settled:
        compute_with(min(settled.threads or 1, os.cpu_count() or 1))
        return _compared(settings, folder, resume, tell, report, settled)


def _compared(
    settings: BenchSettings,
    folder: Path,
    resume: bool,
    tell: Callable[[str], None],
    report: Callable[[Progress], None],
    cluster: Cluster | None,
) -> dict[str, Any]:
    run = RunFolder(folder)
    if resume:
        run.require_begun()
    with run.held(settings.as_config(), resume, _machine(cluster)) as finished:
        rig = Rig.load(settings.model, device=settings.device, dtype=settings.dtype)
        rig.require_room("A context", max(settings.contexts), settings.new_tokens)
        prompts = benchmark_prompts(settings, rig.tokenizer, rig.shape.vocabulary)
        calibrating = calibration_prompts(settings, prompts, rig.tokenizer, rig.shape.vocabulary)
        require_prompts_to_learn_from(settings, calibrating)
        rig.require_room_for(prompts, settings.new_tokens)
        rig.require_room_for(calibrating, CALIBRATION_TOKENS)
        refuse_overlap(prompts, [prompt.digest for prompt in calibrating])
        tell(planned(settings, len(prompts)))
        tell("pricing sublayers on this machine")
        rig = rig.with_checked_prices(tell)
        rounding = round_if_quick(rig, calibrating, tell)
        shared = _shared(settings, rig, calibrating)
        if shared is None:
            lab = rig.lab(new_tokens=CALIBRATION_TOKENS)
            prepared = prepare(settings, rig, lab, calibrating, prompts[0], folder, tell)
        else:
            tell(shared.sentence)
            lab = rig.lab(new_tokens=shared.answers.new_tokens)
            each = replace(settings, calibration_seconds=shared.each)
            lab.answer(shared.answers.prompts)
            prepared = prepare(
                each, rig, lab, shared.answers.prompts, prompts[0], folder, tell, shared.effort
            )
        for facts in prepared.calibration.values():
            refuse_overlap(prompts, facts.get("prompts", ()))
        schedule = Schedule(tuple(prompts), settings.temperatures, settings.repeats)
        names = [(one.name, one.preset) for one in prepared.contenders]
        questions = Questions(schedule.questions(names), finished)
        explain = _explainer(rig.executor, prompts)
        station = Station(
            prepared.contenders,
            settings.new_tokens,
            prompts[0].tokens,
            worker_facts(rig.device),
        )
        with _workers(station, rig, cluster, tell) as workers:
            rows = run_rows(questions, workers, run, finished, report, explain)
        results = {
            "schema_version": SCHEMA_VERSION,
            "run": folder.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": settings.as_config(),
            "environment": fingerprint(rig.device),
            "model": asdict(rig.shape)
            | {
                "dtype": rig.facts["dtype"],
                "executor": rig.executor.name,
                "weight_bytes": weight_bytes(rig.model),
                "rounding": rounding,
            },
            "exactness": known_exactness(rig.executor).statement,
            "calibration": {
                name: {**facts, "prompts": len(facts.get("prompts", ()))}
                for name, facts in prepared.calibration.items()
            },
            "calibration_budget": "" if shared is None else shared.sentence,
            "prompts": [_prompt_facts(prompt) for prompt in prompts],
            "vectors": prompt_map(lab, prompts),
            "rows": rows,
            "failed": [_question_facts(question) for question in questions.given_up],
            "summary": summarise(rows),
            "studies": {},
            "real_model": None,
        }
        run.write(RESULTS_FILE, results)
    return results


@contextmanager
def _workers(
    station: Station,
    rig: Rig,
    cluster: Cluster | None,
    tell: Callable[[str], None],
) -> Iterator[Workers]:
    """This process, or cluster workers that each load the model."""
    if cluster is None:
        yield InThisProcess(station, station.worker["id"])
        return
    plan = RigPlan.of(rig, cluster.threads)
    accept = partial(require_alike, facts_that_count(rig))
    tell(f"{cluster.workers} workers load {rig.name}")
    with RayWorkers.started(cluster, StationPlan.of(station, plan), accept) as workers:
        yield workers


def _require(settings: BenchSettings) -> None:
    """Refuse invalid settings before a folder is created or a model loaded."""
    require_name(settings.model)
    require_device(settings.device)
    require_dtype(settings.dtype)
    for text in settings.strategies:
        if text != EVERY:
            named = read_named(text)
            require_with_models(named.name, named.preset, named.options)
    require_prompts(settings.source, settings.domains)
    if from_file(settings.source) and settings.model not in PLANTED:
        prompts = benchmark_prompts(settings, unread)
        require_prompts_to_learn_from(settings, calibration_prompts(settings, prompts, unread))


def _shared(settings: BenchSettings, rig: Rig, prompts: Sequence[Prompt]) -> Shared | None:
    """How calibrations share their seconds; None without calibrations or measured prices."""
    count = len(calibrating_strategies(settings.strategies))
    if not count or not prompts or not rig.costs.facts:
        return None
    seconds = settings.calibration_seconds
    return shared_between(count, rig.costs, prompts, CALIBRATION_TOKENS, seconds)


def _machine(cluster: Cluster | None = None) -> dict[str, Any]:
    """Facts that all rows must share; on a cluster, each row names its own processor."""
    found = fingerprint(torch.device("cpu"))
    if cluster is not None:
        found |= dict.fromkeys(IN_ROWS, ANY)
    return {name: found[name] for name in ALIKE}


def _explainer(executor: Executor, prompts: Sequence[Prompt]) -> Explain:
    """Explains outputs that differ by the target's logits at the first token that differs."""
    tokens = {prompt.name: prompt.tokens for prompt in prompts}

    def explain(name: str, expected: Sequence[int], got: Sequence[int]) -> Mapping[str, Any] | None:
        found = first_divergence(executor, tokens[name], expected, got)
        return None if found is None else asdict(found)

    return explain


def _question_facts(question: Question) -> dict[str, Any]:
    selector, preset = question.contender
    prompt, temperature, repeat = question.entry
    return {
        "selector": selector,
        "preset": preset,
        "prompt": prompt,
        "temperature": temperature,
        "repeat": repeat,
    }


def _prompt_facts(prompt: Prompt) -> dict[str, Any]:
    facts = {name: getattr(prompt, name) for name in ("name", "domain", "context", "digest")}
    return facts | {"tokens": len(prompt.tokens)}
