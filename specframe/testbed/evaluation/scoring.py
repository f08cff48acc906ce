"""Scores an answer by the rules of its domain, as a share from 0 to 1."""

import re
from collections.abc import Sequence

from specframe.testbed.corpus import Document


def score(document: Document, answer: str) -> float:
    """Share of the domain's checks that the answer passes."""
    scorer = {"translation": _words, "phrase": _words, "arithmetic": _number, "sql": _queries}.get(
        document.domain, _facts
    )
    return scorer(document.exercise.checks, answer)


def repeat4(tokens: Sequence[int]) -> float:
    """Share of the 4-grams of an answer that occurred earlier in it."""
    grams = [tuple(tokens[start : start + 4]) for start in range(len(tokens) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def difference(first: Sequence[int], second: Sequence[int]) -> float:
    """Share of positions at which two answers differ, relative to the longer one."""
    longer = max(len(first), len(second))
    same = sum(a == b for a, b in zip(first, second, strict=False))
    return 1 - same / longer if longer else 0.0


def _words(checks: tuple[tuple[str, ...], ...], answer: str) -> float:
    """Share of correct words at the correct position; extra words lower the score."""
    words = answer.replace(".", " ").split()
    right = sum(word in accepted for word, accepted in zip(words, checks, strict=False))
    return right / max(len(words), len(checks))


def _number(checks: tuple[tuple[str, ...], ...], answer: str) -> float:
    """1 if the last number of the answer is the result."""
    numbers = re.findall(r"\d+", answer)
    return float(bool(numbers) and numbers[-1] in checks[0])


def _queries(checks: tuple[tuple[str, ...], ...], answer: str) -> float:
    """Share of queries that match in order; case and white space are ignored."""
    queries = [_plain(line) for line in re.findall(r"select [^;]*", answer, re.IGNORECASE)]
    right = sum(query == _plain(check[0]) for query, check in zip(queries, checks, strict=False))
    return right / len(checks)


def _facts(checks: tuple[tuple[str, ...], ...], answer: str) -> float:
    """Share of facts that occur in the answer as whole words."""
    return sum(any(_mentions(answer, fact) for fact in check) for check in checks) / len(checks)


def _mentions(answer: str, fact: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", answer) is not None


def _plain(query: str) -> str:
    return " ".join(query.split()).casefold()
