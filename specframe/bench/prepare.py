"""Contenders for a comparison: strategies calibrated on other prompts, and the library's ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from specframe.bench.contenders import Asked, Contender, LibraryContender, StrategyContender
from specframe.bench.settings import BenchSettings
from specframe.bench.summary import BASELINE, LIBRARY
from specframe.calibration.lab import ModelLab
from specframe.contract.drafting_options import DRESSING
from specframe.contract.naming import Named, read_named, strategy_from
from specframe.contract.registry import strategy_class, strategy_names
from specframe.contract.selector import LayerSelector
from specframe.doors.speculator import SelfSpeculator
from specframe.errors import InvalidRequest
from specframe.executors.fused.executor import FusedExecutor
from specframe.prompts.suites import CALIBRATED_ON, BenchPrompt, digest
from specframe.storage.artefacts import MANIFEST
from specframe.storage.user_cache import read_json, write_json
from specframe.types import DraftPlan, Prompt, SkipSet, StopRule

__all__ = ["Prepared", "prepare"]

YARDSTICK = "oracle"  # searches last, from all that the others found
TREES = ("swift:faithful",)  # what `all` adds, since no strategy drafts trees at its best
NEEDS_SETTINGS = frozenset({"fixed"})  # without settings it skips nothing
EARLY_EXIT, LOOKUP = "transformers-early-exit", "transformers-prompt-lookup"
LOOKUP_TOKENS = 10
FEWEST_PROMPTS = 3  # of a domain: to search on, to choose by, to judge by
FACTS = "facts.json"  # beside a kept calibration: how it came about
SEARCHED = 6  # prompts that choose the library's early exit
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Contenders in the order of the table, and how they were calibrated."""

    contenders: tuple[Contender, ...]
    calibration: Mapping[str, Mapping[str, Any]]


def prepare(
    grid: BenchSettings,
    model: Any,
    lab: ModelLab,
    calibrating: Sequence[Prompt],
    trial: BenchPrompt,
    folder: Path,
    tell: Tell = lambda text: None,
) -> Prepared:
    """Calibrate what needs it (or load what an interrupted run calibrated) and wrap everything."""
    contenders: list[Contender] = [
        StrategyContender(BASELINE, "", SelfSpeculator(model), lab.costs),
        _faster_library(model, trial, folder / "library-cache.json", tell),
    ]
    calibration: dict[str, Mapping[str, Any]] = {}
    found: dict[str, LayerSelector] = {}
    wanted = _wanted(grid.selectors)
    for text in sorted(wanted, key=lambda text: read_named(text).name == YARDSTICK):
        starts = tuple(dict.fromkeys(s for other in found.values() for s in _sets(other, lab)))
        kept = folder / "calibrations"
        found[text], facts = _selector(text, grid, lab, calibrating, kept, starts, tell)
        if facts:
            calibration[text] = facts
    for text in wanted:
        speculator = SelfSpeculator(model, found[text], costs=lab.costs)
        contenders.append(_contender(text, read_named(text), speculator, lab))
    if grid.rivals:
        _require_prompts(grid, calibrating)
        contenders += _rivals(model, lab, calibrating, tell)
    return Prepared(tuple(contenders), calibration)


def _wanted(selectors: Sequence[str]) -> list[str]:
    every = [n for n in strategy_names() if n != BASELINE and n not in NEEDS_SETTINGS]
    every += TREES
    found: dict[tuple[Any, ...], str] = {}  # by what a spelling means
    for text in (name for given in selectors for name in (every if given == "all" else [given])):
        named = read_named(text)
        if named.name != BASELINE:  # always takes part
            meaning = named.name, named.preset, tuple(sorted(named.options.items()))
            found.setdefault(meaning, text)
    return list(found.values())


def _contender(
    text: str, named: Named, speculator: SelfSpeculator, lab: ModelLab
) -> StrategyContender:
    """A row that tells its settings from those of the same strategy without them."""
    settings = text.partition("+")[2] if named.options else ""
    name = f"{named.name}+{settings}" if settings else named.name
    return StrategyContender(name, named.preset, speculator, lab.costs)


def _sets(selector: LayerSelector, lab: ModelLab) -> list[SkipSet]:
    """Skip sets that a calibration found."""
    figures: Mapping[str, Any] = getattr(selector, "figures", dict)()
    return [
        SkipSet.of(lab.shape.layers, one["attention"], one["mlp"])
        for one in figures.get("sets", {}).values()
    ]


def _selector(
    text: str,
    grid: BenchSettings,
    lab: ModelLab,
    prompts: Sequence[Prompt],
    folder: Path,
    starts: Sequence[SkipSet],
    tell: Tell,
) -> tuple[LayerSelector, Mapping[str, Any]]:
    named = read_named(text)
    if Path(named.name).is_dir():
        selector = strategy_from(named.name, lab.shape, options=named.options)
        seen = read_json(Path(named.name) / CALIBRATED_ON) or ()
        return selector, {"folder": named.name, "prompts": seen}
    kept = folder / "".join(letter if letter.isalnum() else "-" for letter in text)
    if (kept / MANIFEST).exists():
        dressing = {name: named.options[name] for name in DRESSING if name in named.options}
        facts = read_json(kept / FACTS) or {"folder": kept.name}
        return strategy_from(str(kept), lab.shape, options=dressing), facts
    traits = strategy_class(named.name).traits
    options = {"seconds": str(grid.calibration_seconds)} if traits.calibrated else {}
    selector = strategy_from(named.name, lab.shape, named.preset, options | dict(named.options))
    if not traits.calibrated:
        return selector, {}
    if isinstance(selector, strategy_class(YARDSTICK)) and starts:
        selector = replace(selector, starts=starts)  # type: ignore[type-var]
    _require_prompts(grid, prompts)
    tell(f"calibrating {text}, {grid.calibration_seconds:.0f} s of searching")
    began = perf_counter()
    selector = selector.calibrate(lab, prompts)
    seconds = perf_counter() - began
    digests = [digest(prompt.tokens) for prompt in prompts]
    facts = {"folder": kept.name, "seconds": seconds, "prompts": digests}
    write_json(kept / FACTS, facts)  # first: a folder with a manifest is whole
    selector.save(kept)
    return selector, facts


def _require_prompts(grid: BenchSettings, prompts: Sequence[Prompt]) -> None:
    if not prompts:
        raise InvalidRequest(
            f"Strategies learn from prompts that are not asked, and {grid.prompts!r} has no others. "
            f"Give at least {grid.per_domain + FEWEST_PROMPTS} of each domain, or name strategies "
            f"that need no calibration."
        )


def _faster_library(model: Any, trial: BenchPrompt, kept: Path, tell: Tell) -> LibraryContender:
    """The library's generate with whichever of its two caches decodes faster; a run keeps one."""
    caches = {"dynamic": {}, "static": {"cache_implementation": "static"}}
    ways = {name: LibraryContender(LIBRARY, model, extra) for name, extra in caches.items()}
    if (chosen := read_json(kept)) in ways:
        return ways[chosen]
    tell("choosing the library's faster cache")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(4):
        for name, way in ways.items():
            answer = way.answer(trial.tokens, Asked(16))
            if turn:  # the first warms up
                seconds[name].append(answer.decode_seconds)
    faster = min(ways, key=lambda name: median(seconds[name]))
    write_json(kept, faster)
    return ways[faster]


def _rivals(model: Any, lab: ModelLab, prompts: Sequence[Prompt], tell: Tell) -> list[Contender]:
    """The library's own speculation: best exit and length from the same calibration."""
    lookup = LibraryContender(LOOKUP, model, {"prompt_lookup_num_tokens": LOOKUP_TOKENS})
    if lab.facts["executor"] != FusedExecutor.name:
        # the library cuts these short by their config, which many of their models do not heed
        tell(f"leaving {EARLY_EXIT} out: the library cannot exit early from this family")
        return [lookup]
    exit_layer, length = _best_exit(lab, prompts)
    early = {
        "assistant_early_exit": exit_layer,
        "num_assistant_tokens": length,
        "num_assistant_tokens_schedule": "constant",
    }
    return [lookup, LibraryContender(EARLY_EXIT, model, early)]


def _best_exit(lab: ModelLab, prompts: Sequence[Prompt]) -> tuple[int, int]:
    """Exit layer and draft length of most predicted tokens a second; length at least 1."""
    layers = lab.shape.layers
    exits = sorted({max(1, round(layers * share / 8)) for share in range(1, 8)})
    sets = [SkipSet.after(layers, exit_layer) for exit_layer in exits]
    chosen = prompts[:: max(1, len(prompts) // SEARCHED)]
    n = sum(len(prompt.tokens) for prompt in chosen) / len(chosen)
    best = (0.0, exits[0], 1)
    for exit_layer, skips, estimate in zip(exits, sets, lab.acceptance(sets, chosen), strict=True):
        length = max(1, lab.costs.best_draft_length(estimate.value, skips, n))
        speed = lab.costs.speedup(estimate.value, DraftPlan(skips, StopRule(length)), n).value
        best = max(best, (speed, exit_layer, length))
    return best[1], best[2]
