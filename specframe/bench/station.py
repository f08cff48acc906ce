"""Runs contenders in one process and turns their answers into rows."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch

from specframe.bench.asking import Name, Question
from specframe.bench.contenders import Answer, Asked, Contender, StrategyContender
from specframe.bench.fingerprint import worker_facts
from specframe.bench.summary import BASELINE
from specframe.bench.turns import in_turns
from specframe.core.stats import GenerationStats

__all__ = ["Station"]

OWN: Name = BASELINE, ""
WARM = 16  # tokens of the warm-up


@dataclass
class Station:
    """Runs contenders; each first generates for `warm_up`, which does not count.

    The speed of memory varies over seconds, so autoregressive decoding runs on the same prompt
    again with every contender: in turns with a strategy, before and after transformers' drafting.
    """

    contenders: Sequence[Contender]
    new_tokens: int = 96
    warm_up: tuple[int, ...] = ()  # no tokens: none
    worker: Mapping[str, Any] = field(default_factory=lambda: worker_facts(torch.device("cpu")))
    introduction: Any = None  # facts for the process that hands out questions
    _asked: Counter[Name] = field(default_factory=Counter, init=False)
    _asking: tuple[int, float] | None = field(default=None, init=False)

    def __call__(self, question: Question) -> dict[str, Any]:
        """The row of an answer."""
        contender = self._contender(question.contender)
        assert contender is not None
        if self.warm_up and not self._asked[question.contender]:
            contender.answer(self.warm_up, Asked(min(self.new_tokens, WARM)))
            contender.forget()
        if self._asking != (question.repeat, question.temperature):
            self._asking = question.repeat, question.temperature
            for one in self.contenders:  # else an earlier answer to the prompt could be copied
                one.forget()
        asked = Asked(self.new_tokens, question.temperature, seed=question.repeat)
        answer, beside = self._answered(contender, question, asked)
        self._asked[question.contender] += 1
        return _row(question, answer, beside) | {"worker": dict(self.worker)}

    def _contender(self, name: Name) -> Contender | None:
        return next((one for one in self.contenders if (one.name, one.preset) == name), None)

    def _answered(
        self, contender: Contender, question: Question, asked: Asked
    ) -> tuple[Answer, list[Answer]]:
        """The answer, and the autoregressive ones measured with it."""
        prompt, baseline = question.prompt.tokens, self._contender(OWN)
        if baseline is None or question.is_partner:
            return contender.answer(prompt, asked), []
        if isinstance(contender, StrategyContender) and isinstance(baseline, StrategyContender):
            begins = self._asked[question.contender] % 2 == 1  # alternates
            answer, own = in_turns(contender, baseline, prompt, asked, other_begins=begins)
            return answer, [own]
        before = baseline.answer(prompt, asked)
        return contender.answer(prompt, asked), [before, baseline.answer(prompt, asked)]


def _left(decode_seconds: float, stats: GenerationStats) -> float:
    parts = stats.select_seconds + stats.draft_seconds + stats.verify_seconds
    return max(decode_seconds - parts, 0.0)


def _mean(seconds: Iterable[float]) -> float | None:
    every = list(seconds)
    return fmean(every) if every else None


def _row(question: Question, answer: Answer, beside: Sequence[Answer]) -> dict[str, Any]:
    stats, prompt = answer.stats, question.prompt
    return {
        "selector": question.contender[0],
        "preset": question.contender[1],
        "prompt": prompt.name,
        "domain": prompt.domain,
        "context": prompt.context,
        "prompt_tokens": len(prompt.tokens),
        "temperature": question.temperature,
        "repeat": question.repeat,
        "new_tokens": len(answer.tokens),
        "tokens": list(answer.tokens),
        "first_tokens": answer.first_tokens,
        "prefill_seconds": answer.prefill_seconds,
        "decode_seconds": answer.decode_seconds,
        "own_ar_prefill_seconds": _mean(one.prefill_seconds for one in beside),
        "own_ar_decode_seconds": _mean(one.decode_seconds for one in beside),
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
        "low_bit_seconds": stats.low_bit_seconds if stats else None,
        "drafting_share": answer.drafting / stats.rounds if stats and stats.rounds else None,
        "tree_share": answer.trees / stats.rounds if stats and stats.rounds else None,
        "skips": {str(sublayer): rounds for sublayer, rounds in sorted(answer.skips.items())},
        "low": {str(sublayer): rounds for sublayer, rounds in sorted(answer.low.items())},
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
