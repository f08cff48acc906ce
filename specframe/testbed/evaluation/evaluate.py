"""The testbed's report: quality of the model, and acceptance with skipped sublayers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from specframe.doors.speculator import SelfSpeculator
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.testbed.corpus import DOMAINS
from specframe.testbed.evaluation.acceptance import Answered, acceptance, prepare, search
from specframe.testbed.evaluation.pricing import Prices
from specframe.testbed.evaluation.scoring import difference, repeat4, score
from specframe.testbed.model.encoding import encode
from specframe.testbed.prompts import Question, suite
from specframe.types import SkipSet, Step

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["DomainReport", "Effort", "Report", "answer", "answer_loss", "evaluate"]


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
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Skippable:
    sets: dict[int, SkipSet]
    texts: tuple[Answered, ...]


def evaluate(
    model: "LlamaForCausalLM",
    tokenizer: "PreTrainedTokenizerFast",
    effort: Effort = Effort(),
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure everything; `tell` is called with progress messages."""
    executor = load_executor(model)
    size = executor.shape.sublayers
    half, most = size // 2, -(-size * 7 // 10)
    found = {}
    for domain in DOMAINS:
        tell(f"searching skip sets for {domain}")
        found[domain] = _search(
            executor, tokenizer, domain, effort, (size // 4, half, size * 6 // 10, most)
        )
    domains = {}
    for domain in DOMAINS:
        tell(f"answering prompts of {domain}")
        domains[domain] = _report(
            model, executor, tokenizer, domain, found[domain], half, most, effort
        )
    return Report(
        1,
        domains,
        fmean(report.acceptance_at_half for report in domains.values()),
        fmean(report.acceptance_at_70 for report in domains.values()),
        fmean(report.predicted_best_speedup for report in domains.values()),
        {
            source: {
                target: acceptance(executor, found[target].texts, found[source].sets[half])
                for target in DOMAINS
            }
            for source in DOMAINS
        },
    )


def _search(
    executor: Executor,
    tokenizer: "PreTrainedTokenizerFast",
    domain: str,
    effort: Effort,
    counts: Sequence[int],
) -> _Skippable:
    known = [
        _answered(executor, tokenizer, p)
        for p in suite(domain, effort.searched, split="validation")
    ]
    unseen = tuple(_answered(executor, tokenizer, p) for p in suite(domain, effort.measured))
    return _Skippable(search(executor, known, counts), unseen)


def _answered(
    executor: Executor, tokenizer: "PreTrainedTokenizerFast", prompt: Question
) -> Answered:
    encoded = encode(tokenizer, prompt.conversation, prompt.templated)
    return prepare(executor, encoded.tokens, encoded.answer_start)


def _report(
    model: "LlamaForCausalLM",
    executor: Executor,
    tokenizer: "PreTrainedTokenizerFast",
    domain: str,
    found: _Skippable,
    half: int,
    most: int,
    effort: Effort,
) -> DomainReport:
    prompts = suite(domain, effort.answers)
    answers = [answer(model, tokenizer, prompt, effort.new_tokens) for prompt in prompts]
    texts = [tokenizer.decode(answer, skip_special_tokens=True) for answer in answers]
    alphas = {
        count: acceptance(executor, found.texts, skips) for count, skips in found.sets.items()
    }
    prices = Prices(executor)
    return DomainReport(
        loss=answer_loss(executor, tokenizer, suite(domain, effort.loss)),
        score=fmean(
            score(prompt.document, text) for prompt, text in zip(prompts, texts, strict=True)
        ),
        repeat4=fmean(map(repeat4, answers)),
        difference=fmean(difference(*pair) for pair in combinations(answers, 2)),
        acceptance_at_half=alphas[half],
        acceptance_at_70=alphas[most],
        predicted_best_speedup=max(
            prices.predicted_speedup(alphas[count], skips) for count, skips in found.sets.items()
        ),
        skips_at_half=tuple(found.sets[half]),
        skips_at_70=tuple(found.sets[most]),
    )


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
