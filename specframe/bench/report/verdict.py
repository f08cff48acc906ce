"""The result of a run in a few sentences: which contender to use, and how much faster it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specframe.bench.report import wording
from specframe.bench.report.comparison import (
    Comparison,
    ContenderName,
    Entry,
    Setting,
    contender_of,
)
from specframe.bench.report.wording import MEAN, domain_name, fold, interval

__all__ = ["Choice", "Verdict", "choices", "verdict"]

KEY = "speedup_vs_own_ar"


@dataclass(frozen=True, slots=True)
class Choice:
    """The fastest contender in one setting and domain; None: autoregressive decoding."""

    setting: Setting
    domain: str
    winner: ContenderName | None
    low_bits: int  # of the weights that the winner mostly drafts with; 0: full precision
    speedup: float | None  # of the best contender, even if it is not faster


@dataclass(frozen=True, slots=True)
class Verdict:
    """The best contender over all domains in the first setting."""

    sentence: str
    winner: ContenderName | None
    entry: Entry | None  # the best contender's mean

    @property
    def pays(self) -> bool:
        """Whether a contender is faster than autoregressive decoding by its whole interval."""
        return self.winner is not None


def verdict(comparison: Comparison) -> Verdict:
    """Verdict of the first setting; it also names contenders whose intervals overlap the best."""
    if comparison.only_studies:
        answers = [f"{name}: {study.get('answer')}" for name, study in comparison.studies.items()]
        return Verdict(" ".join(answers), None, None)
    if not comparison.settings:
        return Verdict("This run has no finished comparison, so nothing can be said.", None, None)
    setting = comparison.settings[0]
    ranked = _ranked(comparison.entries(setting, MEAN))
    if not ranked:
        why = "Nothing was measured against autoregressive decoding, so nothing can be said."
        return Verdict(why, None, None)
    paying = [entry for entry in ranked if _pays(entry)]
    if not paying:
        return Verdict(_declined(comparison, setting, ranked[0]), None, ranked[0])
    rivals = [entry for entry in ranked if not _never_drafted(entry)]
    best = paying[0]
    return Verdict(_advice(comparison, setting, best, rivals), contender_of(best), best)


def choices(comparison: Comparison) -> list[Choice]:
    """The best of every setting and domain."""
    found = []
    for setting in comparison.settings:
        for domain in [MEAN, *comparison.domains]:
            ranked = _ranked(comparison.entries(setting, domain))
            if ranked:
                best = next(filter(_pays, ranked), None)
                winner = None if best is None else contender_of(best)
                bits = (best or {}).get("low_bits") or 0
                found.append(Choice(setting, domain, winner, bits, (best or ranked[0])[KEY]))
    return found


def _ranked(entries: Sequence[Entry]) -> list[Entry]:
    """All but the baseline, the fastest first."""
    known = [e for e in entries if e[KEY] is not None and contender_of(e).kind != "baseline"]
    return sorted(known, key=lambda entry: -entry[KEY])


def _pays(entry: Entry) -> bool:
    return bool(entry[f"{KEY}_low"] > 1.0) and not _never_drafted(entry)


def _never_drafted(entry: Entry) -> bool:
    """Whether the strategy only decoded autoregressively, so that any speed-up is noise."""
    return bool(entry.get("drafting_rounds") == 0.0)


def _advice(comparison: Comparison, setting: Setting, best: Entry, rivals: Sequence[Entry]) -> str:
    said = (
        f"Use {contender_of(best)}{_precision(best)}: it decodes {fold(best[KEY])} as fast as "
        f"autoregressive decoding on the same engine ({interval(best, KEY)})"
    )
    library = best["speedup_vs_transformers"]
    if library is not None:
        said += f" and {fold(library)} as fast as transformers' generate"
    said += f"{_memory(comparison, best)}. {_where(comparison, setting, contender_of(best))}"
    said += _exactness(best)
    others = [entry for entry in rivals if entry is not best]
    equals = [contender_of(e) for e in others if e[f"{KEY}_high"] >= best[f"{KEY}_low"]]
    if len(equals) == 1:
        said += f" The interval of {equals[0]} overlaps it."
    elif equals:
        said += f" The intervals of {wording.listed(equals)} overlap it."
    if best["inconclusive"]:
        said += " A domain has one prompt, so the interval is not known: measure with more."
    return said


def _precision(entry: Entry) -> str:
    """How it drafts, unless it does so with full weights."""
    bits = entry.get("low_bits")
    return f" with {bits}-bit drafting" if bits else ""


def _memory(comparison: Comparison, entry: Entry) -> str:
    """Memory of its low-bit weights, relative to the model's own if those are known."""
    if not entry.get("low_bits"):
        return ""
    more, model = entry["low_bit_bytes"], comparison.results.get("model") or {}
    if weights := model.get("weight_bytes"):
        return f", for {wording.percent(more / weights)} more memory than the weights alone"
    return f", for {wording.bytes_(more)} more memory"


def _where(comparison: Comparison, setting: Setting, winner: ContenderName) -> str:
    entries = [
        entry
        for domain in comparison.domains
        for entry in comparison.entries(setting, domain)
        if contender_of(entry) == winner and entry[KEY] is not None
    ]
    faster = sum(_pays(entry) for entry in entries)
    least = min(entries, key=lambda entry: entry[KEY])
    weakest = domain_name(least["domain"])
    if len(entries) == 1:
        return f"It is faster on {weakest}."
    where = "all" if faster == len(entries) else f"{faster} of"
    return (
        f"It is faster in {where} {len(entries)} domains, with the smallest speed-up in {weakest} "
        f"({fold(least[KEY])})."
    )


def _exactness(entry: Entry) -> str:
    match = entry["exact_match"]
    if match is None:
        return ""
    if match == 1.0:
        return " All greedy answers are identical to those of autoregressive decoding."
    said = (
        f" {wording.percent(match, 1)} of the greedy answers are identical to those of "
        f"autoregressive decoding"
    )
    explained = match + entry["near_ties"] > 1.0 - 1e-9
    return said + (
        "; the others differ at a near-tie of the target's logits." if explained else "."
    )


def _declined(comparison: Comparison, setting: Setting, best: Entry) -> str:
    own = [
        entry["speedup_vs_transformers"]
        for entry in comparison.entries(setting, MEAN)
        if contender_of(entry).kind == "baseline"
    ]
    said = "Decode autoregressively: no contender is measurably faster here."
    if _never_drafted(best):
        said += f" {contender_of(best)} never drafted, since that was not expected to pay off."
    else:
        said += f" The best is {contender_of(best)} at {fold(best[KEY])} ({interval(best, KEY)})."
    if own and own[0] is not None:
        said += f" Autoregressive decoding is {fold(own[0])} as fast as transformers' generate."
    return said
