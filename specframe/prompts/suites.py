"""What is asked in a benchmark, and proof that nothing was calibrated on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specframe.errors import InvalidRequest
from specframe.prompts.chat import turn_tokens
from specframe.prompts.hub import PREFIX, HubPrompts
from specframe.prompts.lines import numbered_lines

__all__ = ["CALIBRATED_ON", "BenchPrompt", "digest", "prompts_from", "refuse_overlap"]

CALIBRATED_ON = "calibrated_on.json"  # in a calibrated folder: digests of its prompts
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
    """A strategy that has seen a prompt may not be measured on it."""
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
    lines: Iterable[tuple[int, Any]] = (
        enumerate(HubPrompts.read(source).lines(), start=1)
        if source.startswith(PREFIX)
        else _read_lines(Path(source))
    )
    asked = [_from_line(line, number, tokenizer) for number, line in lines]
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


def _read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """What each line holds, with the line's number."""
    remedy = "Name a file of one JSON object per line, or testbed."
    for number, line in numbered_lines(path, remedy):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise InvalidRequest(
                f"{path}, line {number}: not JSON ({error}). Write one JSON object per line."
            ) from error


def _from_line(line: Any, number: int, tokenizer: Any) -> BenchPrompt:
    if not isinstance(line, dict):
        raise InvalidRequest(
            f"Line {number} of the prompts must be a JSON object with 'prompt' or 'turns'. "
            f"Got {line!r:.60} instead."
        )
    if "turns" in line:  # Spec-Bench: the first turn; its follow-ups quote the answer
        category = str(line.get("category", line.get("domain", "")))
        domain = "mt_bench" if category in CHAT_CATEGORIES else category
        name = str(line.get("question_id", number))
        turns = line["turns"]
        first = turns[0] if isinstance(turns, list) and turns else None
        tokens = turn_tokens(tokenizer, _text(first, "first of 'turns'", number))
    elif "prompt" in line:
        domain, name = str(line.get("domain", "")), str(number)
        tokens = tokenizer(_text(line["prompt"], "'prompt'", number))["input_ids"]
    else:
        raise InvalidRequest(
            f"Line {number} of the prompts has neither 'prompt' nor 'turns'. "
            f"Got the keys {', '.join(sorted(line))} instead."
        )
    return BenchPrompt(f"{domain}/{name}", domain, tuple(tokens))


def _text(value: Any, what: str, number: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(
            f"The {what} in line {number} of the prompts must be text. Got {value!r:.60} instead."
        )
    return value


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
