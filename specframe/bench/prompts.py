"""What is asked in a benchmark, and proof that nothing was calibrated on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specframe.bench.hub_prompts import PREFIX, HubPrompts
from specframe.errors import InvalidRequest
from specframe.turns import turn_tokens

__all__ = ["BenchPrompt", "digest", "prompts_from", "refuse_overlap"]

CHAT_CATEGORIES = frozenset(
    {"writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities"}
)


@dataclass(frozen=True, slots=True)
class BenchPrompt:
    """One prompt; `context` is the length that was asked for, 0 for as it comes."""

    name: str
    domain: str
    tokens: tuple[int, ...]
    context: int = 0


def digest(tokens: Sequence[int]) -> str:
    """What two equal prompts share and no others do."""
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()[:16]


def refuse_overlap(asked: Iterable[BenchPrompt], calibrated: Iterable[str]) -> None:
    """A selector that has seen a prompt may not be measured on it."""
    seen = set(calibrated)
    both = [prompt.name for prompt in asked if digest(prompt.tokens) in seen]
    if both:
        raise InvalidRequest(
            f"{len(both)} benchmark prompts were calibrated on, {both[0]!r} first. "
            f"Calibrate on other prompts."
        )


def prompts_from(
    source: str,
    tokenizer: Any,
    *,
    domains: Sequence[str] = (),
    per_domain: int = 4,
    contexts: Sequence[int] = (0,),
    split: str = "test",
) -> list[BenchPrompt]:
    """From the testbed's split, a file with a JSON object a line, or `datasets:ID` (`HubPrompts`).

    Lines are {"prompt": ..., "domain": ...}, or Spec-Bench's own, of which the first turn is asked
    in the tokenizer's chat template where it has one. No domains means all there are.
    """
    if source == "testbed":
        return _from_testbed(tokenizer, domains, per_domain, contexts, split)
    hub = source.startswith(PREFIX)
    lines = HubPrompts.read(source).lines() if hub else _read_lines(Path(source))
    asked = [_from_line(line, number, tokenizer) for number, line in enumerate(lines, start=1)]
    return _first_of_each(asked, domains, per_domain)


def _from_testbed(
    tokenizer: Any, domains: Sequence[str], per_domain: int, contexts: Sequence[int], split: str
) -> list[BenchPrompt]:
    from specframe.testbed.corpus import DOMAINS

    found = []
    for domain in domains or tuple(DOMAINS):
        for context in contexts:
            for index in range(per_domain):
                tokens = _testbed_tokens(tokenizer, domain, index, context, split)
                found.append(BenchPrompt(f"{domain}/{context}/{index}", domain, tokens, context))
    return found


def _testbed_tokens(
    tokenizer: Any, domain: str, index: int, context: int, split: Any
) -> tuple[int, ...]:
    """The prompt with as many exemplars before it as fit into the context."""
    from specframe.testbed import suite

    tokens = suite(domain, 1, split=split, start=index)[0].tokens(tokenizer)
    exemplars = 0
    while context:
        exemplars += 1
        more = suite(domain, 1, split=split, start=index, exemplars=exemplars)[0].tokens(tokenizer)
        if len(more) > context or len(more) <= len(tokens):
            break
        tokens = more
    return tokens


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(
            f"The prompts {str(path)!r} cannot be read: {error.strerror}. Name a file with one "
            f"JSON object a line, or testbed."
        ) from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise InvalidRequest(f"{path}, line {number}: not JSON ({error}).") from error
    return lines


def _from_line(line: dict[str, Any], number: int, tokenizer: Any) -> BenchPrompt:
    if "turns" in line:  # Spec-Bench: the first turn; its follow-ups quote the answer
        category = str(line.get("category", line.get("domain", "")))
        domain = "mt_bench" if category in CHAT_CATEGORIES else category
        name = str(line.get("question_id", number))
        tokens = turn_tokens(tokenizer, line["turns"][0])
    elif "prompt" in line:
        domain, name = str(line.get("domain", "")), str(number)
        tokens = tokenizer(line["prompt"])["input_ids"]
    else:
        raise InvalidRequest(
            f"Line {number} of the prompts has neither 'prompt' nor 'turns'. "
            f"Got the keys {', '.join(sorted(line))} instead."
        )
    return BenchPrompt(f"{domain}/{name}", domain, tuple(tokens))


def _first_of_each(
    asked: Sequence[BenchPrompt], domains: Sequence[str], per_domain: int
) -> list[BenchPrompt]:
    known = list(dict.fromkeys(prompt.domain for prompt in asked))
    unknown = [domain for domain in domains if domain not in known]
    if unknown:
        raise InvalidRequest(f"No prompts of domain {unknown[0]!r}. Known: {', '.join(known)}.")
    found = []
    for domain in domains or known:
        found += [prompt for prompt in asked if prompt.domain == domain][:per_domain]
    return found
