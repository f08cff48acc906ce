"""Contenders for a comparison: strategies calibrated on other prompts, and transformers' own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specframe.bench.contenders import Contender, StrategyContender
from specframe.bench.library import faster_library, library_assisted, library_drafting
from specframe.bench.run_folder import LIBRARY_CACHE
from specframe.bench.settings import BenchSettings
from specframe.bench.summary import BASELINE
from specframe.calibration.budget import Effort
from specframe.calibration.lab import ModelLab
from specframe.calibration.run import (
    CALIBRATED_ON,
    Calibration,
    calibrate_and_keep,
    kept_calibration,
)
from specframe.contract.drafting_options import DRAFTING_OPTIONS
from specframe.contract.naming import Named, read_named
from specframe.contract.registry import strategy_class, strategy_names
from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidRequest
from specframe.rig import Rig
from specframe.storage.user_cache import read_json
from specframe.types import Prompt, SkipSet

__all__ = [
    "Prepared",
    "calibrating_strategies",
    "planned",
    "prepare",
    "require_prompts_to_learn_from",
]

YARDSTICK = "oracle"  # searches last, starting from all sets that the others found
TREES = ("swift:faithful",)  # added by `all`, since no `best` preset drafts trees
DRAFT_MODEL = "draft-model"
NEEDS_SETTINGS = frozenset({"fixed", DRAFT_MODEL})  # which skip set, which model
MIXED_EFFORT = 0.4  # of the sets of a strategy with one for each domain, on all domains first
FEWEST_PROMPTS = 3  # of a domain: to search on, to choose by, to judge by
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Contenders in the order of the table, and how they were calibrated."""

    contenders: tuple[Contender, ...]
    calibration: Mapping[str, Mapping[str, Any]]


def prepare(
    settings: BenchSettings,
    rig: Rig,
    lab: ModelLab,
    calibrating: Sequence[Prompt],
    trial: Prompt,
    folder: Path,
    tell: Tell = lambda text: None,
    effort: Effort | None = None,
) -> Prepared:
    """Calibrate strategies (or load what an interrupted run calibrated); build all contenders."""
    baseline = StrategyContender(BASELINE, "", rig.speculator(rig.strategy(BASELINE)), rig.costs)
    library = faster_library(rig.model, trial, folder / LIBRARY_CACHE, tell)
    contenders: list[Contender] = [baseline, library]
    calibration: dict[str, Mapping[str, Any]] = {}
    found: dict[str, LayerSelector] = {}
    wanted = _wanted(settings.strategies)
    makers = _Strategies(settings, rig, lab, calibrating, folder / "calibrations", tell, effort)
    for text in sorted(wanted, key=lambda text: read_named(text).name == YARDSTICK):
        found[text], facts = makers.made(text, _sets(found.values()))
        if facts:
            calibration[text] = facts
    contenders += [_contender(text, found[text], rig) for text in wanted]
    contenders += [library_assisted(rig, name) for name in _assistants(wanted)]
    if settings.rivals:
        contenders += library_drafting(rig, lab, calibrating, tell)
    return Prepared(tuple(contenders), calibration)


def _assistants(wanted: Sequence[str]) -> list[str]:
    """Draft models of these strategies; transformers generates with each of them, too."""
    named = [read_named(text) for text in wanted]
    models = [one.options.get("model", "") for one in named if one.name == DRAFT_MODEL]
    return [name for name in dict.fromkeys(models) if name]


def _wanted(strategies: Sequence[str]) -> list[str]:
    every = [n for n in strategy_names() if n != BASELINE and n not in NEEDS_SETTINGS]
    every += TREES
    found: dict[tuple[Any, ...], str] = {}  # by what a spelling means
    for text in (name for given in strategies for name in (every if given == "all" else [given])):
        named = read_named(text)
        if named.name != BASELINE:  # always takes part
            meaning = named.name, named.preset, tuple(sorted(named.options.items()))
            found.setdefault(meaning, text)
    return list(found.values())


def _contender(text: str, strategy: LayerSelector, rig: Rig) -> StrategyContender:
    """A contender whose name includes the settings that were given."""
    named = read_named(text)
    settings = text.partition("+")[2] if named.options else ""
    name = f"{named.name}+{settings}" if settings else named.name
    second = strategy.second()
    costs = rig.costs if second is None else replace(rig.costs, second=second.costs)
    return StrategyContender(name, named.preset, rig.speculator(strategy), costs)


def _sets(strategies: Iterable[LayerSelector]) -> tuple[SkipSet, ...]:
    """Distinct skip sets that calibrations found."""
    every = (one.skips for strategy in strategies for one in strategy.skip_sets().values())
    return tuple(dict.fromkeys(every))


@dataclass(frozen=True, slots=True)
class _Strategies:
    """Makes strategies from their names and calibrates those that need it."""

    settings: BenchSettings
    rig: Rig
    lab: ModelLab
    prompts: Sequence[Prompt]
    folder: Path  # calibrations of this run
    tell: Tell
    effort: Effort | None = None  # the same for every search; None: the defaults of each

    def made(self, text: str, starts: Sequence[SkipSet]) -> tuple[LayerSelector, Mapping[str, Any]]:
        """A strategy and how it was calibrated; the oracle starts its search from `starts`."""
        named = read_named(text)
        if Path(named.name).is_dir():
            strategy = self.rig.strategy(named.name, options=named.options)
            seen = read_json(Path(named.name) / CALIBRATED_ON) or ()
            return strategy, {"folder": named.name, "prompts": seen}
        if not strategy_class(named.name).traits.calibrated:
            return self.rig.strategy(named.name, named.preset, named.options), {}
        kept = self.folder / "".join(letter if letter.isalnum() else "-" for letter in text)
        drafting = {n: value for n, value in named.options.items() if n in DRAFTING_OPTIONS}
        found = kept_calibration(kept, self.rig.shape, drafting, self.rig.facts)
        if found is None:
            found = self._calibrated(text, named, kept, starts)
        tried = {name: one.tried for name, one in found.strategy.skip_sets().items()}
        facts: dict[str, Any] = {"folder": kept.name, "seconds": found.seconds}
        facts["prompts"] = found.digests
        if tried:
            facts["sets_tried"] = tried
        return found.strategy, facts

    def _calibrated(
        self, text: str, named: Named, kept: Path, starts: Sequence[SkipSet]
    ) -> Calibration:
        seconds = self.settings.calibration_seconds
        config = strategy_class(named.name).presets.get(named.preset)
        options = {"seconds": str(seconds), **_equal_effort(config, self.effort), **named.options}
        strategy = self.rig.strategy(named.name, named.preset, options)
        if isinstance(strategy, strategy_class(YARDSTICK)) and starts:
            strategy = replace(strategy, starts=tuple(starts))  # type: ignore[type-var]
        self.tell(f"calibrating {text}, at most {seconds:.0f} s")
        return calibrate_and_keep(strategy, self.lab, self.prompts, kept)


def calibrating_strategies(strategies: Sequence[str]) -> list[str]:
    """The strategies among these that need calibration."""
    named = [read_named(text).name for text in _wanted(strategies)]
    return [n for n in named if not Path(n).is_dir() and strategy_class(n).traits.calibrated]


def planned(settings: BenchSettings, prompts: int) -> str:
    """The size of a comparison in one sentence, without its calibration."""
    wanted = _wanted(settings.strategies)
    library = 1 + len(_assistants(wanted)) + 2 * settings.rivals
    contenders = 1 + library + len(wanted)
    times = len(settings.temperatures) * settings.repeats
    often = f", {times} times each" if times > 1 else ""
    return (
        f"{contenders} contenders generate up to {settings.new_tokens} tokens for {prompts} "
        f"prompts{often}"
    )


def require_prompts_to_learn_from(settings: BenchSettings, prompts: Sequence[Prompt]) -> None:
    """Refuse prompts from which a strategy of this comparison cannot learn."""
    calibrating = calibrating_strategies(settings.strategies)
    if (calibrating or settings.rivals) and not prompts:
        raise InvalidRequest(
            f"Calibration needs prompts outside the comparison, and {settings.source!r} has no "
            f"others. Give at least {settings.per_domain + FEWEST_PROMPTS} of each domain, or name "
            f"strategies that need no calibration."
        )
    for name in calibrating:
        strategy_class(name).require_prompts(prompts)


def _equal_effort(config: Any, effort: Effort | None) -> dict[str, str]:
    """Settings with which every search runs the same number of sets on each prompt.

    Searches that time each set, as in the papers, get none of them. The exhaustive search gets no
    number of sets.
    """
    if effort is None or getattr(config, "objective", "cached") == "clock":
        return {}
    found = {"searched": effort.searched}
    if hasattr(config, "domain_evaluations"):
        mixed = max(round(MIXED_EFFORT * effort.evaluations), 1)
        found |= {"evaluations": mixed}
        found |= {"domain_evaluations": max(effort.evaluations - mixed, 1)}
    elif getattr(config, "search", "") != "exhaustive":
        found |= {"evaluations": effort.evaluations}
    return {name: str(value) for name, value in found.items() if hasattr(config, name)}
