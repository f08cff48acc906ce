"""The bandit on written streams, in seconds of the cost model."""

import random
from functools import cache

import pytest
from doubles.contexts import plain_context
from doubles.heads import Headed, MixingHead
from doubles.laws import Case, law_error
from doubles.planted_labs import (
    PLANTED,
    keeps_tokens,
    planted_executor,
    planted_prompts,
)
from doubles.replayed import Stream, clustered, seconds_between
from doubles.strategies import Listening
from doubles.strategies_worlds import outcome, prices
from doubles.written_lab import small_shape

from specframe.contract.naming import strategy_from
from specframe.contract.selector import Needs
from specframe.errors import InvalidConfig
from specframe.strategies.auto import Auto, AutoConfig
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.cascade import Cascade
from specframe.strategies.del_exit import Del
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.knapspec.strategy import KnapSpec
from specframe.strategies.low_bit import LowBit
from specframe.strategies.prompt_lookup import PromptLookup
from specframe.strategies.suffix import Suffix
from specframe.types import Draft, DraftPlan, Outcome, SkipSet, StopRule

LAYERS, TOKENS, LEARNT = 12, 20_000, 2_000
ALONE = AutoConfig(copies=False)
SHAPE, COSTS = small_shape(LAYERS), prices(LAYERS, head=2.0, row=0.01)

# arms as (skipped sublayers, draft length, acceptance in each of three kinds of text)
STREAMS = {
    "one arm stands out": [
        (8, 4, (0.9, 0.85, 0.8)),
        (12, 5, (0.95, 0.9, 0.92)),
        (16, 6, (0.7, 0.6, 0.8)),
        (18, 6, (0.3, 0.4, 0.2)),
    ],
    "all are fast": [
        (18, 6, (0.96, 0.95, 0.9)),
        (17, 6, (0.97, 0.93, 0.94)),
        (19, 7, (0.95, 0.92, 0.93)),
        (10, 4, (0.99, 0.98, 0.98)),
    ],
    "each has its text": [
        (18, 6, (0.97, 0.75, 0.9)),
        (17, 6, (0.85, 0.97, 0.9)),
        (16, 6, (0.9, 0.9, 0.97)),
    ],
    "only some of the text pays": [
        (12, 5, (0.98, 0.4, 0.9)),
        (14, 5, (0.6, 0.97, 0.9)),
        (8, 4, (0.9, 0.9, 0.9)),
    ],
    "nothing pays": [
        (8, 4, (0.5, 0.4, 0.3)),
        (12, 5, (0.4, 0.5, 0.2)),
        (16, 6, (0.3, 0.3, 0.3)),
        (4, 3, (0.5, 0.5, 0.5)),
        (18, 6, (0.3, 0.4, 0.2)),
    ],
    "nothing quite pays": [
        (8, 4, (0.8, 0.75, 0.7)),
        (12, 4, (0.7, 0.75, 0.72)),
        (16, 5, (0.6, 0.65, 0.62)),
        (18, 6, (0.55, 0.6, 0.6)),
    ],
}


def stream_of(case, seed):
    arms, agreed = [], {}
    for number, (skipped, draft, shares) in enumerate(case):
        chosen = random.Random(7 * number + 1).sample(range(2 * LAYERS), skipped)
        skips = SkipSet.from_sublayers(LAYERS, chosen)
        arms.append(FixedSkips(skips, StopRule(draft)))
        agreed[skips] = clustered(TOKENS, shares, 100 * seed + number)
    return tuple(arms), Stream(SHAPE, COSTS, agreed, TOKENS)


@cache
def played(name, seed):
    """Curves of auto, of drafting nothing, and of the best of all arms."""
    arms, stream = stream_of(STREAMS[name], seed)
    plain = stream.play(Autoregressive())
    alone = [plain, *(stream.play(arm) for arm in arms)]
    best = min(alone, key=lambda curve: seconds_between(curve, 0, TOKENS))
    return stream.play(Auto(arms, ALONE)), plain, best


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", STREAMS)
def test_on_a_stream_it_is_close_to_the_best_arm(name, seed):
    auto, plain, best = played(name, seed)
    assert seconds_between(auto, 0, TOKENS) <= 1.05 * seconds_between(best, 0, TOKENS)
    late = seconds_between(auto, LEARNT, TOKENS)
    assert late <= 1.02 * seconds_between(best, LEARNT, TOKENS)
    assert seconds_between(auto, 0, TOKENS) <= 1.02 * seconds_between(plain, 0, TOKENS)


@pytest.mark.slow
def test_the_streams_have_the_gains_of_their_names():
    gains = {}
    for name in STREAMS:
        _, plain, best = played(name, 0)
        gains[name] = seconds_between(plain, 0, TOKENS) / seconds_between(best, 0, TOKENS)
    assert gains["nothing pays"] == gains["nothing quite pays"] == 1.0
    assert gains["one arm stands out"] > 1.15
    assert gains["all are fast"] > 1.5
    assert gains["each has its text"] > 1.3


def test_an_arm_that_loses_even_if_all_is_accepted_is_never_tried():
    hopeless = FixedSkips(SkipSet.none(LAYERS), StopRule(2))
    good = FixedSkips(SkipSet.from_sublayers(LAYERS, range(4, 20)), StopRule(5))
    most = COSTS.tokens_per_second(1.0, DraftPlan(hopeless.skips, hopeless.stop), 200)
    assert most < 1.0 / COSTS.autoregressive(200)
    agreed = {arm.skips: [True] * TOKENS for arm in (hopeless, good)}
    stream = Stream(SHAPE, COSTS, agreed, TOKENS)
    stream.play(Auto((hopeless, good), ALONE), until=4_000)
    assert {plan.skips for _, plan in stream.told} == {good.skips}
    stream = Stream(SHAPE, COSTS, agreed, TOKENS)
    stream.play(Auto((hopeless,), ALONE), until=500)
    assert {plan.stop.max_tokens for _, plan in stream.told} == {0}


@pytest.mark.slow
def test_an_arm_gets_another_chance_when_the_text_changes():
    early, late = (
        FixedSkips(SkipSet.from_sublayers(LAYERS, range(4, 20)), StopRule(d)) for d in (5, 4)
    )
    late = FixedSkips(late.skips.flip(20), late.stop)
    half = TOKENS // 2
    agreed = {
        early.skips: clustered(half, (0.96,), 1) + clustered(half, (0.3,), 2),
        late.skips: clustered(half, (0.3,), 3) + clustered(half, (0.96,), 4),
    }
    stream = Stream(SHAPE, COSTS, agreed, TOKENS)
    stream.play(Auto((early, late), ALONE))
    last = [plan.skips for done, plan in stream.told if done > 0.8 * TOKENS]
    assert last.count(late.skips) > 0.8 * len(last)


def two_arms():
    skips = SkipSet.from_sublayers(LAYERS, range(4, 20))
    return (Listening(DraftPlan(skips.flip(i), StopRule(4))) for i in (4, 22))


def played_rounds(planner, good, rounds=60):
    """Plans of a planner whose drafts are all accepted if they are the good arm's."""
    context = plain_context(SHAPE, [0] * 50, prompt_length=10, budget=500, costs=COSTS)
    plans = []
    for _ in range(rounds):
        plan = planner.plan(context)
        plans.append(plan)
        drafted = plan.stop.max_tokens
        planner.observe(outcome(plan, drafted if plan == good.plan else 0, drafted))
    return plans


def test_only_the_arm_that_planned_learns_and_it_observes_when_it_is_left():
    first, second = two_arms()
    played_rounds(Auto((first, second), ALONE).start(SHAPE), first, 400)
    for arm in (first, second):
        own = [outcome for outcome in arm.heard if outcome.emitted]
        assert {outcome.plan for outcome in own} == {arm.plan}
    absences = [outcome for outcome in second.heard if not outcome.emitted]
    assert absences
    assert all(not o.plan.capture and o.drafted == 0 for o in absences)
    assert len(first.heard) > 10 * len(second.heard)


def test_the_next_sequence_begins_with_what_this_one_found():
    bad, good = two_arms()
    auto = Auto((bad, good), ALONE)
    assert played_rounds(auto.start(SHAPE), good)[0] == bad.plan
    assert set(played_rounds(auto.start(SHAPE), good)) == {good.plan}
    assert played_rounds(auto.fresh().start(SHAPE), good)[0] == bad.plan


def test_an_arm_that_is_not_chosen_does_not_plan():
    bad, good = two_arms()
    auto = Auto((bad, good), ALONE)
    played_rounds(auto.start(SHAPE), good)
    heard = len(bad.heard)
    played_rounds(auto.start(SHAPE), good)
    assert len(bad.heard) == heard


def test_an_arm_that_is_not_chosen_copies_outputs_of_others():
    drafting = Listening(DraftPlan(SkipSet.from_sublayers(LAYERS, range(4, 20)), StopRule(4)))
    auto = Auto((drafting, Suffix()), ALONE)
    planner = auto.start(SHAPE)
    for tokens in ([9, 8, 1], [9, 8, 1, 2, 3, 4]):
        planner.plan(plain_context(SHAPE, tokens, prompt_length=2, budget=500, costs=COSTS))
    copying = auto.parts[1].start(SHAPE)
    context = plain_context(SHAPE, [5, 1, 2], prompt_length=2, budget=500, costs=COSTS)
    assert copying.plan(context).copied[:2] == (3, 4)


def test_copies_come_before_the_arms_and_from_earlier_outputs():
    drafting = Listening(DraftPlan(SkipSet.from_sublayers(LAYERS, range(4, 20)), StopRule(4)))
    auto = Auto((drafting,))

    def plan(planner, tokens):
        context = plain_context(SHAPE, tokens, prompt_length=3, budget=500, costs=COSTS)
        return planner.plan(context)

    first = auto.start(SHAPE)
    assert plan(first, [9, 8, 7, 1]) == drafting.plan
    assert plan(first, [9, 8, 7, 1, 2, 3, 4]) == drafting.plan
    again = [9, 8, 7, 1, 2, 3, 4, 9, 8, 7, 1, 2]
    assert plan(first, again).copied[:2] == (3, 4)
    assert plan(auto.start(SHAPE), [5, 6, 0, 1, 2, 3]).copied[:1] == (4,)
    assert plan(auto.fresh().start(SHAPE), [5, 6, 0, 1, 2, 3]) == drafting.plan


def test_rounds_that_copy_are_no_evidence_for_an_arm():
    arm = Listening(DraftPlan(SkipSet.from_sublayers(LAYERS, range(4, 20)), StopRule(4)))
    auto = Auto((arm,))
    planner = auto.start(SHAPE)
    context = plain_context(SHAPE, [1, 2, 3, 1, 2], prompt_length=3, budget=500, costs=COSTS)
    plan = planner.plan(context)
    assert plan.copied
    copied = len(plan.copied)
    planner.observe(
        Outcome(
            plan,
            Draft(plan.copied, tuple(range(-1, copied - 1)), (1.0,) * copied, copied=copied),
            1,
            (3, 1),
        )
    )
    assert [one.rounds for one in auto.kept.evidence] == [0.0]
    assert [outcome.drafted for outcome in arm.heard] == [0]


def test_it_needs_what_its_arms_need():
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(0))
    arms = [
        Listening(plan, Needs((2, -1), 4, (2,), 8)),
        Listening(plan, Needs((), None, (4, 2), 3)),
        Listening(plan, Needs((0,), 9)),
    ]
    assert Auto(tuple(arms)).needs == Needs((2, -1, 0), 9, (2, 4), 8)
    arms.append(Listening(plan, Needs(Needs.every)))
    assert Auto(tuple(arms)).needs == Needs(Needs.every, None, (2, 4), 8)


def test_two_trained_heads_are_refused():
    heads = tuple(Headed(LAYERS, MixingHead(2, 8)) for _ in range(2))
    assert Auto(heads[:1]).head(SHAPE) is heads[0].trunk
    with pytest.raises(InvalidConfig, match="at most one with a trained head"):
        Auto(heads).head(SHAPE)


def test_it_keeps_the_models_distribution():
    arms = (
        FixedSkips(SkipSet.from_sublayers(2, [2, 3]), StopRule(2)),
        Headed(2, MixingHead(2, 8)),
        PromptLookup(),
    )
    assert law_error(Case(Auto(arms, AutoConfig(block=1)), new_tokens=4)) < 1e-12


def test_it_changes_no_token():
    arms = (KnapSpec(), Cascade((FixedSkips(PLANTED, StopRule(4)),)), PromptLookup(), Del())
    assert keeps_tokens(planted_executor("llama"), Auto(arms), planted_prompts(each=2), 50)


def test_arms_are_made_from_names_alone():
    made = strategy_from("auto", SHAPE, "best", {"of": "knapspec, prompt-lookup", "block": "2"})
    assert [type(arm).__name__ for arm in made.parts] == ["KnapSpec", "PromptLookup"]
    assert made.config.block == 2
    given = {"of": "prompt-lookup:faithful, low-bit+bits=8, cascade:suffix+of=low-bit"}
    lookup, low, cascade = strategy_from("auto", SHAPE, "best", given).parts
    assert (lookup.config.copied, low.config.bits) == (10, (8,))
    assert isinstance(cascade.inner, LowBit)
    assert [type(arm) for arm in strategy_from("auto", SHAPE).parts] == [LowBit, KnapSpec]


def test_no_arms_are_refused():
    with pytest.raises(InvalidConfig, match="one or more strategies"):
        Auto(())
