"""`check_selector`: each rule has a strategy that breaks it, and that one only."""

import copy
import itertools
import random
from dataclasses import dataclass, field, replace

import pytest
import torch

from specframe.contract.selector import LayerSelector, Needs
from specframe.contract.stopping import AdaptiveThreshold, ExpectedGain, FixedStop, Planned
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing import check_selector, selector_checks
from specframe.types import DraftPlan, GainRule, SkipSet, StopRule, TreeRule

LAYERS = 4
SKIPS = SkipSet.of(LAYERS, (1, 2), (2,))
PLAN = DraftPlan(SKIPS, StopRule(4))
LONGER = DraftPlan(SKIPS, StopRule(3))


@dataclass
class Learning(LayerSelector):
    """Lawful: it drafts shorter after a rejection, and reads everything it is given."""

    limit: int = 4
    needs = Needs(prompt=(0, -1), prompt_rows=3, committed=(2, -1), window=2)

    def __post_init__(self):
        self._length = self.limit

    def select(self, context):
        likeness = sum(float(states.sum()) for states in context.states.values())
        skips = SKIPS if likeness > 0 or context.probe is None else SKIPS.flip(0)
        return DraftPlan(skips, StopRule(self._length))

    def observe(self, outcome):
        rejected = outcome.accepted < outcome.drafted
        self._length = max(1, self._length - 1) if rejected else self.limit

    def spawn(self):
        return replace(self)


LAWFUL = {
    "fixed": FixedSkips(SKIPS),
    "autoregressive": Autoregressive(),
    "learning": Learning(),
    "adaptive threshold": Planned(FixedSkips(SKIPS), AdaptiveThreshold()),
    "expected gain on a tree": Planned(Learning(), ExpectedGain(0.4), TreeRule((2,))),
    "fixed stop": Planned(Learning(), FixedStop(StopRule(2, confidence=0.5))),
}


@pytest.mark.parametrize("name", LAWFUL)
def test_a_lawful_selector_passes_every_check(name):
    check_selector(LAWFUL[name], LAYERS)


# One mutant for each check: it fails that check and no other


@dataclass
class Steady(LayerSelector):
    """The lawful part of the mutants."""

    def select(self, context):
        return PLAN

    def spawn(self):
        return replace(self)


class WrongSizeWhenSampled(Steady):
    def select(self, context):
        return DraftPlan(SkipSet.none(LAYERS + context.sampled), StopRule(4))


class DividesByTheRestOfTheBudget(Steady):
    def select(self, context):
        return DraftPlan(SKIPS, StopRule(4, confidence=1 / (context.budget - 1)))


class LooksThreeTokensBack(Steady):
    def select(self, context):
        return LONGER if context.tokens[-3] % 2 else PLAN


class NeedsTheProbe(Steady):
    def select(self, context):
        return LONGER if context.probe.committed % 2 else PLAN


@dataclass
class CountsInSelect(Steady):
    def __post_init__(self):
        self._asked = 0

    def select(self, context):
        self._asked += 1
        return PLAN if self._asked % 2 else LONGER


LUCK = itertools.count()


@dataclass
class Lucky(Steady):
    """Something that is in no context and no outcome decides, late."""

    def __post_init__(self):
        self._rounds = 0
        self._luck = next(LUCK)

    def select(self, context):
        return LONGER if self._rounds > 5 and self._luck % 2 else PLAN

    def observe(self, outcome):
        self._rounds += 1


@dataclass
class SpawnsWithItsState(Steady):
    def __post_init__(self):
        self._rounds = 0

    def select(self, context):
        return PLAN if self._rounds < 2 else LONGER

    def observe(self, outcome):
        self._rounds += 1

    def spawn(self):
        return copy.copy(self)


@dataclass
class SharesItsState(Steady):
    _seen: list = field(default_factory=list)

    def select(self, context):
        return LONGER if 0 in self._seen else PLAN

    def observe(self, outcome):
        self._seen.append(outcome.accepted)

    def spawn(self):
        self._seen.clear()
        return replace(self)


class ErasesStates(Steady):
    needs = Needs(committed=(-1,), window=4)

    def select(self, context):
        for states in context.states.values():
            states.zero_()
        return PLAN


@dataclass
class LearnsInPublic(Steady):
    def __post_init__(self):
        self.rounds = 0

    def observe(self, outcome):
        self.rounds += 1


class DividesByTheDrafted(Steady):
    def observe(self, outcome):
        self._share = outcome.accepted / outcome.drafted


class PlansWithLists(Steady):
    def select(self, context):
        return DraftPlan(SKIPS, StopRule(4, gain=GainRule(0.1, [(0.0, 0.5), (1.0, 1.0)])))


class NeedsWhatIsNotThere(Steady):
    needs = Needs(prompt=(2 * LAYERS + 1,))


class DrawsFromTorch(Steady):
    def select(self, context):
        torch.rand(1)
        return PLAN


class DrawsFromRandom(Steady):
    def select(self, context):
        random.random()
        return PLAN


class ReachesIntoTheCache(Steady):
    def select(self, context):
        if context.probe is not None:
            context.probe._cache.data.zero_()
        return PLAN


MUTANTS = {
    WrongSizeWhenSampled: "plans_cover_the_models_sublayers",
    DividesByTheRestOfTheBudget: "plans_with_a_budget_of_one",
    LooksThreeTokensBack: "plans_after_a_prompt_of_one_token",
    NeedsTheProbe: "plans_without_an_engine",
    CountsInSelect: "select_can_be_repeated",
    Lucky: "equal_histories_give_equal_plans",
    SpawnsWithItsState: "spawn_forgets_the_sequence",
    SharesItsState: "spawned_instances_share_no_state",
    ErasesStates: "select_leaves_the_context_alone",
    LearnsInPublic: "public_attributes_never_change",
    DividesByTheDrafted: "observe_accepts_every_outcome",
    PlansWithLists: "plans_are_plain_data",
    NeedsWhatIsNotThere: "needs_name_states_the_model_has",
    DrawsFromTorch: "the_global_generators_stay_untouched",
    DrawsFromRandom: "the_global_generators_stay_untouched",
    ReachesIntoTheCache: "greedy_tokens_are_the_targets_own",
}


def failing(strategy):
    found = []
    for name, check in selector_checks(strategy, LAYERS):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - strategies under test may raise anything
            found.append((name, error))
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_selector_fails_its_check_and_no_other(mutant):
    failures = failing(mutant())
    assert [name for name, _ in failures] == [MUTANTS[mutant]]
    with pytest.raises(type(failures[0][1])):
        check_selector(mutant(), LAYERS)


def test_every_check_has_a_mutant():
    names = [name for name, _ in selector_checks(Autoregressive(), LAYERS)]
    assert set(names) == set(MUTANTS.values())


def test_a_failure_can_be_excused_with_a_reason():
    name = MUTANTS[LearnsInPublic]
    check_selector(LearnsInPublic(), LAYERS, {name: "counts rounds for a demo"})


def test_a_stale_excuse_is_an_error():
    with pytest.raises(AssertionError, match=r"plans_are_plain_data passes.*once was a list"):
        check_selector(Steady(), LAYERS, {"plans_are_plain_data": "once was a list"})


def test_an_excuse_for_an_unknown_check_is_an_error():
    with pytest.raises(AssertionError, match="no such checks: \\['plans_are_data'\\]"):
        check_selector(Steady(), LAYERS, {"plans_are_data": "why not"})


@pytest.mark.parametrize(
    ("mutant", "message"),
    [
        (WrongSizeWhenSampled, "round 0 the plan covers 10 sublayers and the model has 8"),
        (CountsInSelect, "asked twice, it planned"),
        (ErasesStates, r"select changed context.states\[8\]"),
        (NeedsWhatIsNotThere, "needs.prompt names depth 9; there are 0 to 8"),
        (DrawsFromTorch, "generator of torch was used"),
    ],
)
def test_messages_say_what_was_broken(mutant, message):
    with pytest.raises(AssertionError, match=message):
        check_selector(mutant(), LAYERS)


@pytest.mark.parametrize("layers", [1, 2, 7])
def test_any_number_of_layers_can_be_checked(layers):
    check_selector(FixedSkips(SkipSet.from_sublayers(layers, [1])), layers)
