"""The testbed's report: quality of the model, and acceptance with skipped sublayers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from specframe.costs.measure import measured_profile
from specframe.costs.model import CostModel
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import Continuation
from specframe.testbed.corpus import DOMAINS
from specframe.testbed.evaluation.scoring import difference, repeat4, score
from specframe.testbed.model.encoding import encode
from specframe.testbed.prompts import Question, suite
from specframe.types import DraftPlan, SkipSet, Step, StopRule

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_CONTEXT = 160  # at which speed-ups are predicted
_LONGEST = 12  # draft


@dataclass(frozen=True, slots=True)
class Effort:
    """Number of documents per domain that each part of the report uses."""

    loss: int = 24
    answers: int = 8
    searched: int = 3  # validation split
    measured: int = 12  # test split
    new_tokens: int = 192


@dataclass(frozen=True, slots=True)
class DomainReport:
    """One domain on the test split."""

    loss: float  # nats per answer token
    score: float
    repeat4: float
    difference: float  # between greedy answers of two prompts
    acceptance_at_half: float
    acceptance_at_70: float
    predicted_best_speedup: float
    skips_at_half: tuple[int, ...]
    skips_at_70: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The keys of `testbed eval --json`; acceptance is for the first drafted token."""

    schema_version: int
    domains: dict[str, DomainReport]
    acceptance_at_half: float
    acceptance_at_70: float
    predicted_best_speedup: float
    cross_domain: dict[str, dict[str, float]]  # searched on -> measured on, half of the sublayers

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(
    model: "LlamaForCausalLM",
    tokenizer: "PreTrainedTokenizerFast",
    effort: Effort = Effort(),
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure everything; `tell` is called with progress messages."""
    measured = _Evaluation(model, tokenizer, effort)
    half = measured.executor.shape.sublayers // 2
    sets, texts = {}, {}
    for domain in DOMAINS:
        tell(f"searching skip sets for {domain}")
        sets[domain] = measured.search(domain)
        texts[domain] = measured.answered(suite(domain, effort.measured))
    domains = {}
    for domain in DOMAINS:
        tell(f"answering prompts of {domain}")
        domains[domain] = measured.report(domain, sets[domain], texts[domain])
    return Report(
        1,
        domains,
        fmean(report.acceptance_at_half for report in domains.values()),
        fmean(report.acceptance_at_70 for report in domains.values()),
        fmean(report.predicted_best_speedup for report in domains.values()),
        {
            source: {target: texts[target].estimate(sets[source][half]).mean for target in DOMAINS}
            for source in DOMAINS
        },
    )


class _Evaluation:
    """The measurements of a report."""

    def __init__(
        self, model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", effort: Effort
    ) -> None:
        self._model, self._tokenizer, self._effort = model, tokenizer, effort
        self.executor = load_executor(model)
        self._costs = measured_profile(model, self.executor).costs

    def search(self, domain: str) -> dict[int, SkipSet]:
        """Skip sets with a quarter, half, 60 % and 70 % of the sublayers, by size."""
        size = self.executor.shape.sublayers
        known = self.answered(suite(domain, self._effort.searched, split="validation"))
        return search(known, size, (size // 4, size // 2, size * 6 // 10, _most(size)))

    def answered(self, prompts: Sequence[Question]) -> AcceptanceEstimator:
        """Acceptance on the reference answers, for drafts that start at each of their tokens."""
        encoded = [encode(self._tokenizer, p.conversation, p.templated) for p in prompts]
        texts = [Continuation(one.tokens[:-1], one.answer_start - 1) for one in encoded]
        return AcceptanceEstimator(self.executor, texts)

    def report(
        self, domain: str, sets: Mapping[int, SkipSet], reference: AcceptanceEstimator
    ) -> DomainReport:
        effort, size = self._effort, self.executor.shape.sublayers
        prompts = suite(domain, effort.answers)
        answers = [answer(self._model, self._tokenizer, p, effort.new_tokens) for p in prompts]
        texts = [self._tokenizer.decode(one, skip_special_tokens=True) for one in answers]
        scores = [score(p.document, text) for p, text in zip(prompts, texts, strict=True)]
        alphas = {n: reference.estimate(skips).mean for n, skips in sets.items()}
        half, most = size // 2, _most(size)
        return DomainReport(
            loss=answer_loss(self.executor, self._tokenizer, suite(domain, effort.loss)),
            score=fmean(scores),
            repeat4=fmean(map(repeat4, answers)),
            difference=fmean(difference(*pair) for pair in combinations(answers, 2)),
            acceptance_at_half=alphas[half],
            acceptance_at_70=alphas[most],
            predicted_best_speedup=max(
                predicted_speedup(self._costs, alphas[n], skips) for n, skips in sets.items()
            ),
            skips_at_half=tuple(sets[half]),
            skips_at_70=tuple(sets[most]),
        )


def search(
    estimator: AcceptanceEstimator, sublayers: int, counts: Sequence[int]
) -> dict[int, SkipSet]:
    """Skip sets of the requested sizes, by a greedy search that skips two sublayers at a time."""
    found: dict[int, SkipSet] = {}
    skips = SkipSet(sublayers)
    while len(skips) < max(counts):
        wanted = min(count for count in counts if count > len(skips))
        means = {one: estimator.estimate(skips.flip(one)).mean for one in skips.kept}
        ranked = sorted(means, key=means.__getitem__, reverse=True)
        for sublayer in ranked[: min(2, wanted - len(skips))]:
            skips = skips.flip(sublayer)
        if len(skips) in counts:
            found[len(skips)] = skips
    return found


def _most(size: int) -> int:
    return -(-size * 7 // 10)


def predicted_speedup(costs: CostModel, alpha: float, skips: SkipSet) -> float:
    """Speed-up at the best draft length; alpha is the acceptance rate."""
    plans = [DraftPlan(skips, StopRule(length)) for length in range(1, _LONGEST + 1)]
    return max(costs.speedup(alpha, plan, _CONTEXT).value for plan in plans)


def answer(
    model: "LlamaForCausalLM",
    tokenizer: "PreTrainedTokenizerFast",
    prompt: Question,
    new_tokens: int,
) -> list[int]:
    """The model's greedy answer of at most `new_tokens` tokens."""
    tokens = list(prompt.tokens(tokenizer))
    output = SelfSpeculator(model).generate(tokens, max_new_tokens=new_tokens)
    sequence: list[int] = output.sequences[0, len(tokens) :].tolist()
    return sequence


def answer_loss(
    executor: Executor, tokenizer: "PreTrainedTokenizerFast", prompts: Sequence[Question]
) -> float:
    """Mean nats per token of the reference answers."""
    total, count = 0.0, 0
    for prompt in prompts:
        encoded = encode(tokenizer, prompt.conversation, prompt.templated)
        tokens = torch.tensor([encoded.tokens], device=executor.device)
        step = Step(tokens, torch.arange(tokens.shape[1], device=executor.device), 0, 0)
        start = encoded.answer_start
        logits = executor.walk(
            step, executor.new_cache(tokens.shape[1]), rows=slice(start - 1, -1)
        ).logits
        assert logits is not None
        total += float(F.cross_entropy(logits[0].float(), tokens[0, start:], reduction="sum"))
        count += tokens.shape[1] - start
    return total / count
