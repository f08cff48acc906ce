"""The answer in a sentence: which method for this model, machine and text, and does it pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specframe.bench.report.comparison import (
    Comparison,
    ContenderName,
    Entry,
    Setting,
    contender_of,
)
from specframe.bench.report.wording import (
    MEAN,
    domain_name,
    fold,
    interval,
    listed,
    percent,
    plural,
)

__all__ = ["Choice", "Verdict", "choices", "verdict"]

KEY = "speedup_vs_own_ar"


@dataclass(frozen=True, slots=True)
class Choice:
    """The fastest way to decode in one setting and domain; None is to decode autoregressively."""

    setting: Setting
    domain: str
    winner: ContenderName | None
    speedup: float | None  # of the best contender, even where it does not pay


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to use, over all domains, in the first setting."""

    sentence: str
    winner: ContenderName | None
    entry: Entry | None  # the best contender's mean

    @property
    def pays(self) -> bool:
        """Whether anything is surely faster than autoregressive decoding."""
        return self.winner is not None


def verdict(comparison: Comparison) -> Verdict:
    """Of the first setting; contenders that cannot be told from the best are named too."""
    if comparison.only_studies:
        answers = [f"{name}: {study.get('answer')}" for name, study in comparison.studies.items()]
        return Verdict(" ".join(answers), None, None)
    if not comparison.settings:
        return Verdict("This run holds no finished comparison, so nothing can be said.", None, None)
    setting = comparison.settings[0]
    ranked = _ranked(comparison.entries(setting, MEAN))
    if not ranked:
        return Verdict(
            "Nothing was measured against autoregressive decoding, so nothing can be said.",
            None,
            None,
        )
    best = ranked[0]
    if not _pays(best):
        return Verdict(_declined(comparison, setting, best), None, best)
    return Verdict(_advice(comparison, setting, ranked), contender_of(best), best)


def choices(comparison: Comparison) -> list[Choice]:
    """The best of every setting and domain."""
    found = []
    for setting in comparison.settings:
        for domain in [MEAN, *comparison.domains]:
            ranked = _ranked(comparison.entries(setting, domain))
            if ranked:
                winner = contender_of(ranked[0]) if _pays(ranked[0]) else None
                found.append(Choice(setting, domain, winner, ranked[0][KEY]))
    return found


def _ranked(entries: Sequence[Entry]) -> list[Entry]:
    """All but the baseline, the fastest first."""
    known = [e for e in entries if e[KEY] is not None and contender_of(e).kind != "baseline"]
    return sorted(known, key=lambda entry: -entry[KEY])


def _pays(entry: Entry) -> bool:
    return bool(entry[f"{KEY}_low"] > 1.0)


def _advice(comparison: Comparison, setting: Setting, ranked: Sequence[Entry]) -> str:
    best = ranked[0]
    parts = [
        f"Use {contender_of(best)}: it decodes {fold(best[KEY])} as fast as autoregressive "
        f"decoding on the same engine ({interval(best, KEY)})"
    ]
    library = best["speedup_vs_transformers"]
    if library is not None:
        parts.append(f" and {fold(library)} as fast as transformers' generate")
    parts.append(f"; {_where(comparison, setting, contender_of(best))}{_exactness(best)}.")
    equals = [contender_of(e) for e in ranked[1:] if e[f"{KEY}_high"] >= best[f"{KEY}_low"]]
    if equals:
        interval_of, overlap = "The intervals of", "overlap"
        if len(equals) == 1:
            interval_of, overlap = "The interval of", "overlaps"
        parts.append(f" {interval_of} {listed(equals)} {overlap} it.")
    if best["inconclusive"]:
        parts.append(" The figure is inconclusive: more prompts or repeats would settle it.")
    return "".join(parts)


def _where(comparison: Comparison, setting: Setting, winner: ContenderName) -> str:
    entries = [
        entry
        for domain in comparison.domains
        for entry in comparison.entries(setting, domain)
        if contender_of(entry) == winner and entry[KEY] is not None
    ]
    paying = sum(_pays(entry) for entry in entries)
    least = min(entries, key=lambda entry: entry[KEY])
    domains, weakest = plural(len(entries), "domain"), domain_name(least["domain"])
    if len(entries) == 1:
        return f"it pays on {weakest}"
    where = "every one" if paying == len(entries) else f"{paying}"
    return f"it pays in {where} of {domains}, least in {weakest} ({fold(least[KEY])})"


def _exactness(entry: Entry) -> str:
    match = entry["exact_match"]
    if match is None:
        return ""
    if match == 1.0:
        return ", and every greedy answer is the autoregressive one, token for token"
    told = f", and {percent(match, 1)} of the greedy answers are the autoregressive ones"
    explained = match + entry["near_ties"] > 1.0 - 1e-9
    return told + (", the others differ at a near-tie of the target's logits" if explained else "")


def _declined(comparison: Comparison, setting: Setting, best: Entry) -> str:
    own = [
        entry["speedup_vs_transformers"]
        for entry in comparison.entries(setting, MEAN)
        if contender_of(entry).kind == "baseline"
    ]
    faster = (
        f", itself {fold(own[0])} as fast as transformers' generate"
        if own and own[0] is not None
        else ""
    )
    return (
        f"Decode autoregressively{faster}: no method is surely faster here (best: "
        f"{contender_of(best)} at {fold(best[KEY])}, {interval(best, KEY)})."
    )
