"""The comparison: contenders answer every prompt in turn."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specframe.bench.contenders import Answer, Asked, Contender
from specframe.bench.run_folder import RunFolder
from specframe.bench.summary import BASELINE
from specframe.core.stats import GenerationStats
from specframe.types import Prompt

__all__ = ["Progress", "Schedule", "run_rows"]

Key = tuple[str, str, str, float, int]  # strategy, preset, prompt, temperature, repeat
# prompt's name, autoregressive tokens, other tokens -> where they part, and whether at a near-tie
Explain = Callable[[str, Sequence[int], Sequence[int]], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is asked of every contender."""

    prompts: tuple[Prompt, ...]
    temperatures: tuple[float, ...] = (0.0,)
    repeats: int = 2
    new_tokens: int = 96
    warm_ups: int = 1

    def entries(self) -> Iterator[tuple[Prompt, float, int]]:
        """Repeats outermost, so that what drifts drifts for all prompts alike."""
        for repeat in range(self.repeats):
            for temperature in self.temperatures:
                for prompt in self.prompts:
                    yield prompt, temperature, repeat


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    total: int
    contender: str
    prompt: str


def run_rows(
    schedule: Schedule,
    contenders: Sequence[Contender],
    folder: RunFolder,
    finished: Sequence[Mapping[str, Any]],
    report: Callable[[Progress], None] = lambda progress: None,
    explain: Explain = lambda prompt, expected, got: None,
) -> list[dict[str, Any]]:
    """Ask what is not answered yet; rows are on disk as soon as they are finished."""
    rows = [dict(row) for row in finished]
    done = {_key(row) for row in rows}
    greedy = {row["prompt"]: row["tokens"] for row in rows if _is_reference(row)}
    entries = list(schedule.entries())
    total = len(entries) * len(contenders)
    if len(done) < total:
        _warm_up(schedule, contenders)
    asking: tuple[int, float] | None = None
    for number, (prompt, temperature, repeat) in enumerate(entries):
        if asking != (repeat, temperature):
            asking = repeat, temperature
            for contender in contenders:  # no answer may be copied from one to the same prompt
                contender.forget()
        for contender in _rotated(contenders, number):
            if (contender.name, contender.preset, prompt.name, temperature, repeat) in done:
                continue
            asked = Asked(schedule.new_tokens, temperature, seed=repeat)
            answer = contender.answer(prompt.tokens, asked)
            row = _row(contender, prompt, asked, repeat, answer)
            if _is_reference(row):
                greedy.setdefault(prompt.name, row["tokens"])
            rows.append(row)
            folder.append(row)
            report(Progress(len(rows), total, contender.name, prompt.name))
    return [_judged(row, greedy, explain) for row in rows]


def _rotated(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """Another contender goes first each time."""
    start = number % len(contenders)
    return [*contenders[start:], *contenders[:start]]


def _warm_up(schedule: Schedule, contenders: Sequence[Contender]) -> None:
    asked = Asked(min(schedule.new_tokens, 16))
    for _ in range(schedule.warm_ups):
        for contender in contenders:
            contender.answer(schedule.prompts[0].tokens, asked)


def _key(row: Mapping[str, Any]) -> Key:
    return row["selector"], row["preset"], row["prompt"], row["temperature"], row["repeat"]


def _is_reference(row: Mapping[str, Any]) -> bool:
    return bool(row["selector"] == BASELINE and row["temperature"] == 0.0)


def _judged(
    row: dict[str, Any], greedy: Mapping[str, Sequence[int]], explain: Explain
) -> dict[str, Any]:
    """Whether a greedy answer is the autoregressive one, token for token, and if not, why."""
    expected = greedy.get(row["prompt"])
    if row["temperature"] != 0.0 or expected is None:
        return row | {"exact_match": None, "parting": None}
    exact = bool(row["tokens"] == expected)
    parting = None if exact else explain(row["prompt"], expected, row["tokens"])
    return row | {"exact_match": exact, "parting": parting}


def _left(decode_seconds: float, stats: GenerationStats) -> float:
    parts = stats.select_seconds + stats.draft_seconds + stats.verify_seconds
    return max(decode_seconds - parts, 0.0)


def _row(
    contender: Contender, prompt: Prompt, asked: Asked, repeat: int, answer: Answer
) -> dict[str, Any]:
    stats = answer.stats
    return {
        "selector": contender.name,
        "preset": contender.preset,
        "prompt": prompt.name,
        "domain": prompt.domain,
        "context": prompt.context,
        "prompt_tokens": len(prompt.tokens),
        "temperature": asked.temperature,
        "repeat": repeat,
        "new_tokens": len(answer.tokens),
        "tokens": list(answer.tokens),
        "first_tokens": answer.first_tokens,
        "prefill_seconds": answer.prefill_seconds,
        "decode_seconds": answer.decode_seconds,
        "predicted_seconds": answer.predicted_seconds,
        "rounds": stats.rounds if stats else None,
        "drafted": stats.drafted if stats else None,
        "accepted": stats.accepted if stats else None,
        "selection_seconds": stats.select_seconds if stats else None,
        "draft_seconds": stats.draft_seconds if stats else None,
        "verify_seconds": stats.verify_seconds if stats else None,
        "other_seconds": _left(answer.decode_seconds, stats) if stats else None,
        "skipped_attention": stats.skipped_attention if stats else None,
        "skipped_mlp": stats.skipped_mlp if stats else None,
        "low_bits": stats.low_bits if stats else None,
        "low_bit_share": stats.low_bit_share if stats else None,
        "low_bit_bytes": stats.low_bit_bytes if stats else None,
        "drafting_share": answer.drafting / stats.rounds if stats and stats.rounds else None,
        "tree_share": answer.trees / stats.rounds if stats and stats.rounds else None,
        "skips": {str(sublayer): rounds for sublayer, rounds in sorted(answer.skips.items())},
        "low": {str(sublayer): rounds for sublayer, rounds in sorted(answer.low.items())},
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
