"""Lookup before another strategy: which of them drafts, and what each observes."""

import random
from dataclasses import replace
from itertools import product
from math import prod

import pytest
import torch
from doubles.contexts import plain_context
from doubles.heads import Headed, MixingHead
from doubles.laws import Case, law_error
from doubles.planted_labs import PLANTED, keeps_tokens, planted_executor, planted_prompts
from doubles.strategies import Listening
from doubles.written_lab import flat, plain_costs, small_shape

from specframe.contract.drafting_options import WithDrafting
from specframe.contract.naming import strategy_from
from specframe.contract.stopping import ExpectedGain
from specframe.costs.model import CostModel
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.cascade import Cascade
from specframe.strategies.fixed import FixedSkips
from specframe.strategies.knapspec.strategy import KnapSpec
from specframe.strategies.shared.ngrams import PROMPT_LOOKUP, Copy, NgramConfig
from specframe.strategies.shared.planners.copy_first import after_copy
from specframe.strategies.shared.suffix_copies import SuffixConfig
from specframe.types import Draft, DraftPlan, GainRule, Outcome, SkipSet, StopRule, TreeRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
COSTS = plain_costs(LAYERS)
SKIPS = SkipSet.of(LAYERS, (1, 2, 3), (1, 2, 3))
EVERYTHING = SkipSet.of(LAYERS, range(LAYERS), range(LAYERS))
CHEAP = replace(COSTS, head=flat(0.01))  # where everything is skipped, drafting is almost free
ACCEPTED = 100  # copies
REPEATING, NEW = [1, 2, 3, 4, 5, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]


def context(tokens, **given):
    return plain_context(
        SHAPE, tokens, **{"prompt_length": 2, "budget": 100, "costs": COSTS, **given}
    )


def cascading(inner):
    return Cascade((inner,)).start(SHAPE)


def chain(tokens, copied, laws=None):
    count = len(tokens)
    confidences = (1.0,) * copied + (0.5,) * (count - copied)
    return Draft(tuple(tokens), tuple(range(-1, count - 1)), confidences, laws, copied=copied)


def test_without_a_match_the_inner_strategy_drafts():
    inner = FixedSkips(SKIPS, StopRule(4, 0.5))
    assert cascading(inner).plan(context(NEW)) == DraftPlan(SKIPS, StopRule(4, 0.5))


def trusting(inner):
    """A cascade whose copies of sixteen tokens were all accepted."""
    cascade, accepted = cascading(inner), 0
    while accepted < ACCEPTED:
        plan = cascade.plan(context(REPEATING))
        cascade.observe(Outcome(plan, chain((7,) * 16, 16), 16, (7,) * 17))
        accepted += bool(plan.copied)
    return cascade


def test_a_draft_follows_a_copy_where_that_pays():
    cascade = trusting(FixedSkips(EVERYTHING, StopRule(4, 0.5)))
    plan = cascade.plan(context(REPEATING, costs=CHEAP))
    assert plan.copied[:2] == (4, 5)
    assert (len(plan.copied), plan.stop, plan.skips) == (16, StopRule(20, 0.5), EVERYTHING)
    alone = cascade.plan(context(REPEATING, costs=COSTS))
    assert (len(alone.copied), alone.stop.max_tokens) == (16, 16)
    assert alone.skips == SkipSet.none(LAYERS)


def test_the_option_of_the_highest_predicted_rate_is_planned():
    """Against all options there are, each priced by itself."""
    for accepted in (0, 4):
        cascade = cascading(FixedSkips(SKIPS, StopRule(4)))
        for _ in range(40):
            plan = cascade.plan(context(NEW))
            cascade.observe(Outcome(plan, chain((7, 7, 7, 7), 0), accepted, (7,) * (accepted + 1)))
        alpha, chances = (
            (0.0, 1.0)[accepted > 0],
            [m / (m + 2) for m in range(3, 17)] + [16 / 18] * 2,
        )
        options = {}
        for copied in (0, 1, 2, 4, 8, 16):
            for more in (0, 4):
                if (copied, more) != (0, 0):
                    plan = DraftPlan(SKIPS, StopRule(copied + more), copied=(1,) * copied)
                    alphas = (*chances[:copied], *(alpha,) * more)
                    options[copied, more] = COSTS.tokens_per_second(alphas, plan, 7)
        copied, more = max(options, key=options.get)
        chosen = cascade.plan(context(REPEATING))
        assert (len(chosen.copied), chosen.stop.max_tokens) == (copied, copied + more)


def test_a_copy_that_does_not_pay_is_left():
    inner = FixedSkips(SKIPS, StopRule(4))
    cascade = cascading(inner)
    for _ in range(60):
        plan = cascade.plan(context(REPEATING))
        copied = len(plan.copied)
        if not copied:
            break
        tokens = (*plan.copied, *(7,) * (plan.stop.max_tokens - copied))
        cascade.observe(Outcome(plan, chain(tokens, copied), 0, (9,)))
    assert cascade.plan(context(REPEATING)) == inner.start(SHAPE).plan(context(REPEATING))


def test_a_copy_is_alone_where_the_inner_strategy_drafts_nothing():
    cascade = cascading(Autoregressive())
    plan = cascade.plan(context(REPEATING))
    assert plan.stop.max_tokens == len(plan.copied) > 0
    assert cascade.plan(context(NEW)).stop.max_tokens == 0


def test_a_gain_must_repay_the_chance_that_the_copy_is_accepted():
    cascade = trusting(FixedSkips(EVERYTHING, StopRule(4, gain=GainRule(0.1))))
    plan = cascade.plan(context(REPEATING, costs=CHEAP))
    assert (len(plan.copied), plan.stop.max_tokens) == (16, 20)
    believed = [(4 * m / (m + 2) + ACCEPTED) / (4 + ACCEPTED) for m in range(3, 16)]
    longest = (4 * 16 / 18 + 3 * ACCEPTED) / (
        4 + 3 * ACCEPTED
    )  # longer matches count as one length
    assert plan.stop.gain.price == pytest.approx(0.1 / (prod(believed) * longest**3))


def test_faithful_copies_after_every_match():
    cascade = Cascade((FixedSkips(SKIPS, StopRule(4)),), PROMPT_LOOKUP).start(SHAPE)
    plan = cascade.plan(context(REPEATING))
    assert (len(plan.copied), plan.stop.max_tokens) == (10, 14)


PLAN = DraftPlan(SKIPS, StopRule(4))


def observed_by_inner(draft, accepted, emitted):
    inner = Listening(PLAN)
    cascade = cascading(inner)
    plan = cascade.plan(context(REPEATING))
    cascade.observe(Outcome(plan, draft, accepted, emitted))
    return inner.heard[0]


def test_the_inner_planner_observes_its_own_part():
    laws = {1: torch.ones(1), 2: torch.ones(2)}
    seen = observed_by_inner(chain((4, 5, 6, 7), 2, laws), 3, (4, 5, 6, 9))
    assert seen.plan == PLAN
    assert (seen.draft.tokens, seen.draft.parents) == ((6, 7), (-1, 0))
    assert seen.draft.confidences == (0.5, 0.5)
    assert {parent: len(law) for parent, law in seen.draft.laws.items()} == {-1: 1, 0: 2}
    assert (seen.accepted, seen.emitted) == (1, (4, 5, 6, 9))


def test_of_a_rejected_copy_it_only_observes_what_was_emitted():
    seen = observed_by_inner(chain((4, 5, 6, 7), 2), 1, (4, 9))
    assert (seen.drafted, seen.accepted, seen.emitted, seen.plan) == (0, 0, (4, 9), PLAN)


def test_a_round_without_a_copy_is_observed_as_it_was():
    draft = chain((4, 5, 6, 7), 0)
    assert observed_by_inner(draft, 1, (4, 9)).draft is draft


def test_what_the_inner_strategy_copied_is_its_own_to_observe():
    inner = Listening(DraftPlan(SkipSet.none(LAYERS), StopRule(3), copied=(7, 8, 9)))
    planner = Cascade((inner,), SuffixConfig()).start(SHAPE)
    for tokens, accepted in ((REPEATING, 0), ([*REPEATING, 9], 2)):
        plan = planner.plan(context(tokens))
        draft = chain(plan.copied, len(plan.copied))
        outcome = Outcome(plan, draft, accepted, (0,) * (accepted + 1))
        planner.observe(outcome)
    assert plan == inner.plan
    assert inner.heard[-1] is outcome


def test_leaves_keep_their_parents():
    tokens, parents = (4, 5, 6, 7, 8, 9), (-1, 0, 1, 2, 1, 2)
    seen = observed_by_inner(
        replace(chain((4,), 0), tokens=tokens, parents=parents, copied=2), 2, (4, 5, 1)
    )
    assert seen.draft.parents == (-1, 0, -1, 0)
    assert seen.draft.tokens == (6, 7, 8, 9)


INNER = {
    "fixed": FixedSkips(SkipSet.from_sublayers(2, [2, 3]), StopRule(3)),
    "a tree": WithDrafting(
        FixedSkips(SkipSet.from_sublayers(2, [0, 3]), StopRule(3)), tree=TreeRule((2,))
    ),
    "a head": Headed(2, MixingHead(2, 8)),
    "expected gain": WithDrafting(
        FixedSkips(SkipSet.from_sublayers(2, [1]), StopRule(3)), ExpectedGain(0.3, prior=1.0)
    ),
}


FAST = (("fixed", "best"), ("a tree", "faithful"), ("a head", "best"), ("expected gain", "best"))


@pytest.mark.parametrize(
    ("name", "preset", "new_tokens"),
    [
        *((*case, 3) for case in FAST),
        *(
            pytest.param(*case, 4, marks=pytest.mark.slow)
            for case in product(INNER, ("best", "faithful"))
        ),
    ],
)
def test_cascades_keep_the_models_distribution(name, preset, new_tokens):
    strategy = Cascade((INNER[name],), replace(Cascade.presets[preset], copied=2))
    assert law_error(Case(strategy, new_tokens=new_tokens)) < 1e-12


@pytest.mark.parametrize("strategy", [KnapSpec(), FixedSkips(PLANTED, StopRule(4))])
def test_cascades_change_no_token(strategy):
    prompts = planted_prompts(each=2)
    assert keeps_tokens(planted_executor("llama"), Cascade((strategy,)), prompts, 50)


def test_a_cascade_is_made_from_names_alone():
    made = strategy_from("cascade", SHAPE, "faithful", {"of": "prompt-lookup", "copied": "7"})
    assert type(made.inner).__name__ == "PromptLookup"
    assert made.config.copied == 7
    assert made.inner.config == NgramConfig(longest=3, copied=10, latest=False, priced=False)
    assert isinstance(strategy_from("cascade", SHAPE).inner, KnapSpec)


def test_copies_also_come_from_earlier_outputs():
    made = strategy_from("cascade", SHAPE, "suffix", {"of": "fixed"})

    def copied(strategy, tokens):
        return strategy.start(SHAPE).plan(context(tokens)).copied

    first = made.start(SHAPE)
    for length in (3, 6):
        first.plan(context([9, 8, 1, 2, 3, 4][:length]))
    assert copied(made, [5, 6, 1, 2])[:2] == (3, 4)
    assert copied(made.fresh(), [5, 6, 1, 2]) == ()
    without = strategy_from("cascade", SHAPE, "suffix", {"of": "fixed", "cached": "0"})
    assert without.earlier is None


@pytest.mark.parametrize("seed", range(20))
def test_no_length_of_copy_and_draft_is_faster_than_the_planned_one(seed):
    chance = random.Random(seed)
    price = [flat(chance.uniform(0.01, 3.0)) for _ in range(4)]
    costs = CostModel((0,) * LAYERS, (price[0],), (price[1],), price[2], price[3])
    inner = DraftPlan(SkipSet.of(LAYERS, (0, 1, 2), chance.choice([(), (0, 1, 2)])), StopRule(6))
    copy = Copy(tuple(range(chance.randint(1, 16))), chance.randint(1, 16))
    planner = cascading(FixedSkips(inner.skips, inner.stop))
    for _ in range(chance.randint(0, 9)):
        planner._drafts.observe(6, chance.randint(0, 6), alone=True)
    plan = planner._fastest(inner, copy, costs, 50)

    def rate(copied, drafted):
        tried = after_copy(inner, copy, copied, drafted)
        chances = planner._beliefs.chances(copy)[:copied]
        alphas = (*chances, *(planner._drafts.acceptance,) * drafted)
        return costs.tokens_per_second(alphas, tried, 50)

    more = min(6, round(planner._drafts.length))
    lengths = [2**i for i in range(len(copy.tokens).bit_length())]
    drafted = plan.stop.max_tokens - len(plan.copied)
    found = rate(len(plan.copied), more if drafted else 0)
    assert found >= max(rate(0, more), *(rate(c, d) for c in lengths for d in (0, more))) - 1e-12
