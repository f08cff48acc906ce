"""`check_selector`: each check has a strategy that fails it and no other check."""

import itertools
import random
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from specframe.contract.drafting_options import WithDrafting
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs
from specframe.contract.stopping import AdaptiveThreshold, ExpectedGain, FixedStop
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing import check_selector, selector_checks
from specframe.types import DraftPlan, GainRule, SkipSet, StopRule, TreeRule

LAYERS = 2
SKIPS = SkipSet.of(LAYERS, (1,), (1,))
PLAN = DraftPlan(SKIPS, StopRule(4))
LONGER = DraftPlan(SKIPS, StopRule(3))


@dataclass(frozen=True)
class Learning(LayerSelector):
    """Valid: it drafts shorter after a rejection, and reads everything it is given."""

    limit: int = 4
    needs = Needs(prompt=(0, -1), prompt_rows=3, committed=(2, -1), window=2)

    def start(self, shape):
        return LearningPlanner(self.limit)


class LearningPlanner(Planner):
    def __init__(self, limit):
        self._limit = self._length = limit

    def plan(self, context):
        likeness = sum(float(states.sum()) for states in context.states.values())
        skips = SKIPS if likeness > 0 else SKIPS.flip(0)
        return DraftPlan(skips, StopRule(self._length))

    def observe(self, outcome):
        rejected = outcome.accepted < outcome.drafted
        self._length = max(1, self._length - 1) if rejected else self._limit


VALID = {
    "learning": Learning(),
    "adaptive threshold": WithDrafting(FixedSkips(SKIPS), AdaptiveThreshold()),
    "expected gain on a tree": WithDrafting(Learning(), ExpectedGain(0.4), TreeRule((2,))),
    "fixed stop": WithDrafting(Learning(), FixedStop(StopRule(2, confidence=0.5))),
}


@pytest.mark.parametrize("name", VALID)
def test_a_valid_strategy_passes_every_check(name):
    check_selector(VALID[name], LAYERS)


# One mutant for each check: it fails that check and no other


class Steady(Planner):
    """The valid part of the mutants."""

    def plan(self, context):
        return PLAN


@dataclass(frozen=True)
class Mutant(LayerSelector):
    """Starts planners of this class."""

    planner: type[Planner] = Steady
    needs: Needs = field(default_factory=Needs)

    def start(self, shape):
        return self.planner()


class WrongSizeWhenSampled(Steady):
    def plan(self, context):
        return DraftPlan(SkipSet.none(LAYERS + context.sampled), StopRule(4))


class DividesByTheRestOfTheBudget(Steady):
    def plan(self, context):
        return DraftPlan(SKIPS, StopRule(4, confidence=1 / (context.budget - 1)))


class LooksThreeTokensBack(Steady):
    def plan(self, context):
        return LONGER if context.tokens[-3] % 2 else PLAN


class NeedsItsStates(Steady):
    def plan(self, context):
        if context.round < 1:  # none are captured yet
            return PLAN
        return LONGER if float(context.states[2].sum()) > 0 else PLAN


class CountsInPlan(Steady):
    def __init__(self):
        self._plans = 0

    def plan(self, context):
        self._plans += 1
        return PLAN if self._plans % 2 else LONGER


COUNTER = itertools.count()


class DependsOnACounter(Steady):
    """Late in a sequence, its plans depend on something outside of contexts and outcomes."""

    def __init__(self):
        self._rounds = 0
        self._number = next(COUNTER)

    def plan(self, context):
        return LONGER if self._rounds > 6 and self._number % 2 else PLAN

    def observe(self, outcome):
        self._rounds += 1


@dataclass(frozen=True)
class RemembersTheLastSequence(LayerSelector):
    """What a planner saw in its sixth round is still known to the next planner."""

    def start(self, shape):
        return RemembersPlanner()


class RemembersPlanner(Steady):
    seen: ClassVar[set[str]] = set()

    def __init__(self):
        self._rounds, self._known = 0, "late" in self.seen
        self.seen.clear()

    def plan(self, context):
        return LONGER if self._known else PLAN

    def observe(self, outcome):
        self._rounds += 1
        if self._rounds == 6 and outcome.accepted == 0:
            self.seen.add("late")


class SharesItsState(Steady):
    shared: ClassVar[list[int]] = []

    def __init__(self):
        self.shared.clear()

    def plan(self, context):
        return LONGER if self.shared[-2:] == [0, 1] else PLAN

    def observe(self, outcome):
        if outcome.accepted == 0 or self.shared:
            self.shared.append(outcome.accepted)


class ErasesStates(Steady):
    def plan(self, context):
        for states in context.states.values():
            states.zero_()
        return PLAN


@dataclass
class CanBeSet(LayerSelector):
    """Not frozen."""

    def start(self, shape):
        return Steady()


class DividesByTheDrafted(Steady):
    def observe(self, outcome):
        self._share = outcome.accepted / outcome.drafted


class PlansWithLists(Steady):
    def plan(self, context):
        return DraftPlan(SKIPS, StopRule(4, gain=GainRule(0.1, [(0.0, 0.5), (1.0, 1.0)])))


class DrawsFromTorch(Steady):
    def plan(self, context):
        torch.rand(1)
        return PLAN


class DrawsFromRandom(Steady):
    def plan(self, context):
        random.random()
        return PLAN


class ReachesIntoTheCache(Steady):
    def plan(self, context):
        context.probe._cache.data.zero_()
        return PLAN


MUTANTS = {
    "WrongSizeWhenSampled": (Mutant(WrongSizeWhenSampled), "plans_cover_the_models_sublayers"),
    "DividesByTheBudget": (Mutant(DividesByTheRestOfTheBudget), "plans_with_a_budget_of_one"),
    "LooksThreeTokensBack": (Mutant(LooksThreeTokensBack), "plans_after_a_prompt_of_one_token"),
    "NeedsItsStates": (
        Mutant(NeedsItsStates, Needs(committed=(2,), window=2)),
        "plans_without_states",
    ),
    "CountsInPlan": (Mutant(CountsInPlan), "plan_can_be_repeated"),
    "DependsOnACounter": (Mutant(DependsOnACounter), "equal_histories_give_equal_plans"),
    "RemembersTheLastSequence": (RemembersTheLastSequence(), "a_new_planner_knows_nothing"),
    "SharesItsState": (Mutant(SharesItsState), "planners_share_no_state"),
    "ErasesStates": (
        Mutant(ErasesStates, Needs(committed=(-1,), window=4)),
        "plan_leaves_the_context_alone",
    ),
    "CanBeSet": (CanBeSet(), "the_strategy_is_frozen"),
    "DividesByTheDrafted": (Mutant(DividesByTheDrafted), "observe_accepts_every_outcome"),
    "PlansWithLists": (Mutant(PlansWithLists), "plans_are_plain_data"),
    "NeedsWhatIsNotThere": (
        Mutant(needs=Needs(prompt=(2 * LAYERS + 1,))),
        "needs_name_states_the_model_has",
    ),
    "DrawsFromTorch": (Mutant(DrawsFromTorch), "the_global_generators_stay_untouched"),
    "DrawsFromRandom": (Mutant(DrawsFromRandom), "the_global_generators_stay_untouched"),
    "ReachesIntoTheCache": (Mutant(ReachesIntoTheCache), "greedy_tokens_are_the_targets_own"),
}


def failing(strategy):
    found = []
    for name, check in selector_checks(strategy, LAYERS):
        try:
            check()
        except Exception:  # noqa: BLE001 - strategies under test may raise anything
            found.append(name)
    return found


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_strategy_fails_its_check_and_no_other(mutant):
    strategy, check = MUTANTS[mutant]
    assert failing(strategy) == [check]


def test_every_check_has_a_mutant():
    names = [name for name, _ in selector_checks(Autoregressive(), LAYERS)]
    assert set(names) == {check for _, check in MUTANTS.values()}


def test_a_failure_can_be_excused_with_a_reason():
    strategy, check = MUTANTS["CanBeSet"]
    check_selector(strategy, LAYERS, {check: "is set for a demo"})


def test_a_stale_excuse_is_an_error():
    with pytest.raises(AssertionError, match=r"plans_are_plain_data passes.*once was a list"):
        check_selector(Mutant(), LAYERS, {"plans_are_plain_data": "once was a list"})


def test_an_excuse_for_an_unknown_check_is_an_error():
    with pytest.raises(AssertionError, match="no such checks: \\['plans_are_data'\\]"):
        check_selector(Mutant(), LAYERS, {"plans_are_data": "why not"})


@pytest.mark.parametrize(
    ("mutant", "message"),
    [
        ("WrongSizeWhenSampled", "round 0 the plan covers 6 sublayers and the model has 4"),
        ("CountsInPlan", "called twice, it planned"),
        ("ErasesStates", r"plan changed context.states\[4\]"),
        ("NeedsWhatIsNotThere", "needs.prompt names depth 5; depths are 0 to 4"),
        ("DrawsFromTorch", "generator of torch was used"),
    ],
)
def test_messages_say_what_was_broken(mutant, message):
    with pytest.raises(AssertionError, match=message):
        check_selector(MUTANTS[mutant][0], LAYERS)


@pytest.mark.parametrize("layers", [1, 5])
def test_any_number_of_layers_can_be_checked(layers):
    check_selector(FixedSkips(SkipSet.from_sublayers(layers, [1])), layers)
