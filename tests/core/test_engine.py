"""Greedy decoding is lossless: its tokens are those of autoregressive decoding."""

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from doubles.drafts import LAYERS, models, prompts, skip_sets
from doubles.strategies import Answering, InTurn, Listening
from doubles.tiny import FAMILIES, WINDOWED, Tiny, tiny_executor, tiny_model
from hypothesis import given
from hypothesis import strategies as st
from transformers import LogitsProcessorList

from specframe.contract.drafting_options import WithDrafting
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs
from specframe.contract.stopping import AdaptiveThreshold, ExpectedGain
from specframe.core import engine as engines
from specframe.core.engine import Engine, Limits, Round
from specframe.core.sampling import Law, seeded_choice
from specframe.core.states import StateWindow
from specframe.costs.model import CostModel
from specframe.doors.arguments import resolve
from specframe.errors import InvalidRequest
from specframe.executors import exactness
from specframe.executors.filling import fill_cache
from specframe.executors.fused import sublayers as fused
from specframe.executors.fused import weights
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.modules.executor import ModuleExecutor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import LONGEST_CHAIN, DraftPlan, GainRule, SkipSet, StopRule, TreeRule


class Agreeable:
    """A history-dependent processor: the last token's neighbour becomes likelier."""

    def __call__(self, input_ids, scores):
        bent = scores.clone()
        rows = torch.arange(scores.shape[0])
        bent[rows, (input_ids[:, -1] + input_ids.shape[1]) % scores.shape[1]] += 2.0
        return bent


stops = st.builds(
    StopRule,
    max_tokens=st.integers(0, 9),
    confidence=st.sampled_from((0.0, 0.3, 0.7)),
    gain=st.sampled_from((None, GainRule(0.1), GainRule(0.4, ((0.2, 0.0), (0.6, 1.0))))),
)
trees = st.none() | st.builds(
    TreeRule,
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    by_confidence=st.sampled_from(((), ((0.6, 1), (0.2, 3)))),
)
plans = st.builds(DraftPlan, skips=skip_sets, stop=stops, tree=trees)
strategies = st.lists(plans, min_size=1, max_size=3).map(lambda found: InTurn(tuple(found)))
arguments = st.fixed_dictionaries(
    {"max_new_tokens": st.integers(1, 14)},
    optional={
        "repetition_penalty": st.just(1.5),
        "no_repeat_ngram_size": st.just(2),
        "logits_processor": st.builds(lambda: LogitsProcessorList([Agreeable()])),
        "eos_token_id": st.lists(st.integers(0, 22), min_size=1, max_size=3),
        "min_new_tokens": st.integers(1, 5),
    },
)


@cache
def model_of(tiny):
    return tiny_model(tiny)


def generated(tiny, strategy, prompt, settings, executor=None):
    executor = executor or tiny_executor(tiny)
    decoding = resolve(model_of(tiny), prompt, tiny.positions, executor.device, **settings)
    engine = Engine(executor, strategy, decoding.law, decoding.limits)
    return list(engine.rounds(prompt))


def tokens_of(rounds):
    return [token for done in rounds for token in done.tokens]


@given(models, strategies, prompts, arguments)
def test_any_plan_yields_the_autoregressive_tokens(tiny, strategy, prompt, settings):
    wanted = tokens_of(generated(tiny, Autoregressive(), prompt, settings))
    assert tokens_of(generated(tiny, strategy, prompt, settings)) == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_autoregressive_tokens_are_the_librarys(family):
    tiny = Tiny(family, layers=LAYERS, window=5 if family in WINDOWED else None)
    settings = {"max_new_tokens": 14, "repetition_penalty": 1.3, "min_new_tokens": 4}
    model = model_of(tiny)
    prompt = [5, 1, 17]
    wanted = model.generate(torch.tensor([prompt]), do_sample=False, **settings)[0, 3:].tolist()
    assert tokens_of(generated(tiny, Autoregressive(), prompt, settings)) == wanted


@pytest.mark.parametrize(
    "stop",
    [AdaptiveThreshold(start=0.4, step=0.2), ExpectedGain(step_ratio=0.2, prior=1.0)],
    ids=["adaptive threshold", "expected gain"],
)
def test_stop_rules_that_learn_change_no_token(stop):
    tiny = Tiny(layers=LAYERS)
    settings = {"max_new_tokens": 40}
    strategy = WithDrafting(InTurn((DraftPlan(SkipSet(6, 0b101000), StopRule(4)),)), stop)
    wanted = tokens_of(generated(tiny, Autoregressive(), [3], settings))
    assert tokens_of(generated(tiny, strategy, [3], settings)) == wanted


def test_as_many_tokens_as_the_budget_are_emitted():
    tiny = Tiny(layers=LAYERS)
    strategy = InTurn((DraftPlan(SkipSet(6, 0b100000), StopRule(9)),))
    for budget in range(1, 12):
        assert len(tokens_of(generated(tiny, strategy, [3], {"max_new_tokens": budget}))) == budget


def test_nothing_after_an_end_token():
    tiny = Tiny(layers=LAYERS)
    free = tokens_of(generated(tiny, Autoregressive(), [3], {"max_new_tokens": 40}))
    strategy = InTurn((DraftPlan(SkipSet.none(LAYERS), StopRule(9)),))  # all drafts are accepted
    for end in set(free):
        settings = {"max_new_tokens": 40, "eos_token_id": end}
        found = tokens_of(generated(tiny, strategy, [3], settings))
        assert found == free[: free.index(end) + 1]


def test_a_perfect_draft_is_accepted_in_full():
    """Skipping nothing drafts the target's own tokens, so only limits end a round."""
    tiny = Tiny(layers=LAYERS)
    strategy = InTurn((DraftPlan(SkipSet.none(LAYERS), StopRule(4)),))
    rounds = generated(tiny, strategy, [3], {"max_new_tokens": 21})
    assert [len(done.tokens) for done in rounds] == [1, 5, 5, 5, 5]
    assert [done.outcome.accepted for done in rounds[1:]] == [4, 4, 4, 4]


@pytest.mark.parametrize("tree", [None, TreeRule((1,))])
def test_a_chain_is_never_longer_than_what_is_verified_bit_identically(tree):
    tiny = Tiny(layers=LAYERS, positions=200)
    strategy = InTurn((DraftPlan(SkipSet.none(LAYERS), StopRule(40), tree),))
    rounds = generated(tiny, strategy, [3], {"max_new_tokens": 150})
    drafted = [done.outcome.drafted for done in rounds[1:]]
    assert drafted[:4] == [LONGEST_CHAIN] * 4
    assert LONGEST_CHAIN + 1 == max(exactness.ROWS) == fused.PROMPT_ROWS == weights.FEW_ROWS


def test_copied_tokens_count_towards_the_length_of_a_chain():
    tiny = Tiny(layers=LAYERS, positions=200)
    wanted = tokens_of(generated(tiny, Autoregressive(), [3], {"max_new_tokens": 90}))
    plan = DraftPlan(SkipSet(6, 0b100000), StopRule(60), copied=tuple(wanted[1:50]))
    rounds = generated(tiny, InTurn((plan,)), [3], {"max_new_tokens": 90})
    assert rounds[1].outcome.drafted == rounds[1].outcome.accepted == LONGEST_CHAIN
    assert tokens_of(rounds) == wanted


def test_a_tree_may_be_deeper_than_a_chain():
    tiny = Tiny(layers=LAYERS, positions=200)
    plan = DraftPlan(SkipSet.none(LAYERS), StopRule(40), TreeRule((1, 2, 1)))
    rounds = generated(tiny, InTurn((plan,)), [3], {"max_new_tokens": 60})
    assert rounds[1].outcome.drafted == 40


class StopsAtSixth:
    """A stopping criterion that counts its calls and returns true only at the sixth."""

    def __init__(self):
        self.calls = 0

    def __call__(self, input_ids, scores, **kwargs):
        self.calls += 1
        return torch.tensor([self.calls == 6])


def test_a_criterion_is_called_once_for_each_token_and_stops_at_once():
    tiny = Tiny(layers=LAYERS)
    for plan in (DraftPlan(SkipSet.none(LAYERS), StopRule(n)) for n in (0, 1, 3, 9)):
        settings = {"max_new_tokens": 20, "stopping_criteria": [StopsAtSixth()]}
        assert len(tokens_of(generated(tiny, InTurn((plan,)), [3], settings))) == 6


class Remembering(InTurn):
    needs = Needs(committed=(0,), window=99)


def test_states_of_tokens_that_were_cut_off_are_not_kept(monkeypatch):
    tiny, kept, push = Tiny(layers=LAYERS), [], StateWindow.push

    def watched(self, *given):
        push(self, *given)
        kept.append(len(self.committed[0]))

    monkeypatch.setattr(StateWindow, "push", watched)
    strategy = Remembering((DraftPlan(SkipSet.none(LAYERS), StopRule(9)),))
    free = tokens_of(generated(tiny, strategy, [3], {"max_new_tokens": 40}))
    for end in set(free) - {free[0]}:
        settings = {"max_new_tokens": 40, "eos_token_id": end}
        found = tokens_of(generated(tiny, strategy, [3], settings))
        assert kept[-1] == len(found) - 1  # the last token was not processed yet


def test_drafts_are_both_accepted_and_rejected():
    """Otherwise equal tokens would prove little."""
    tiny = Tiny(layers=LAYERS)
    for tree in (None, TreeRule((3,))):
        plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3]), StopRule(4), tree)
        rounds = generated(tiny, InTurn((plan,)), [3], {"max_new_tokens": 80})
        outcomes = [done.outcome for done in rounds[1:]]
        accepted = sum(outcome.accepted for outcome in outcomes)
        drafted = sum(outcome.drafted for outcome in outcomes)
        assert 0.2 * drafted < accepted < 0.95 * drafted


def test_a_skipped_first_layer_and_a_skipped_last_layer():
    tiny = Tiny(layers=LAYERS)
    wanted = tokens_of(generated(tiny, Autoregressive(), [3, 8], {"max_new_tokens": 24}))
    for sublayers in ([0], [0, 1], [4, 5], [5], range(6)):
        plan = DraftPlan(SkipSet.from_sublayers(LAYERS, sublayers), StopRule(5))
        assert tokens_of(generated(tiny, InTurn((plan,)), [3, 8], {"max_new_tokens": 24})) == wanted


def test_a_long_prompt_is_processed_in_blocks():
    tiny = Tiny("mistral", layers=2, window=50, positions=800)
    tokens = torch.randint(23, (700,), generator=torch.Generator().manual_seed(0)).tolist()
    plan = DraftPlan(SkipSet.from_sublayers(2, [3]), StopRule(5))
    found = tokens_of(generated(tiny, InTurn((plan,)), tokens, {"max_new_tokens": 12}))
    for token in found:
        with torch.no_grad():
            logits = model_of(tiny)(torch.tensor([tokens]), use_cache=False).logits
        assert token == int(logits[0, -1].argmax())
        tokens = [*tokens, token]


@pytest.mark.parametrize("held", [1, 19])
@pytest.mark.parametrize("make", [FusedExecutor, ModuleExecutor])
def test_tokens_that_a_cache_holds_are_not_processed_again(make, held, monkeypatch):
    executor = make(tiny_model(Tiny(layers=LAYERS)))
    prompt = list(range(1, 21))
    plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3]), StopRule(3))
    engine = Engine(executor, InTurn((plan,)), Law(), Limits(12))
    wanted = tokens_of(engine.rounds(prompt))
    known = executor.new_cache(held)
    for _ in fill_cache(executor, known, prompt[:held]):
        pass
    walk, walked = executor.walk, []
    monkeypatch.setattr(
        executor, "walk", lambda step, *a, **k: walked.append(step.rows) or walk(step, *a, **k)
    )
    for _ in range(2):  # the given cache is not changed
        assert tokens_of(engine.rounds(prompt, known)) == wanted
        assert walked[0] == len(prompt) - held
        walked.clear()


def test_a_cache_of_the_whole_prompt_or_without_needed_states_is_refused():
    executor = tiny_executor(Tiny(layers=LAYERS))
    known = executor.new_cache(4)
    for _ in fill_cache(executor, known, [1, 2, 3]):
        pass
    plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3]), StopRule(3))
    with pytest.raises(InvalidRequest, match="holds 3 tokens, and at most 2"):
        next(Engine(executor, InTurn((plan,)), Law(), Limits(12)).rounds([1, 2, 3], known))
    asking = Listening(plan, Needs(prompt=(1,)))
    with pytest.raises(InvalidRequest, match="reads the prompt's states"):
        next(Engine(executor, asking, Law(), Limits(12)).rounds([1, 2, 3, 4], known))


def test_a_draft_with_logits_that_are_not_finite_changes_no_token():
    """Non-finite draft logits end the draft; the target decides by itself."""
    executor = tiny_executor(Tiny(layers=LAYERS))

    class Broken:
        def __getattr__(self, name):
            return getattr(executor, name)

        def walk(self, step, cache, skips=None, **how):
            passed = executor.walk(step, cache, skips, **how)
            if skips is not None and int(step.positions[0]) % 3 == 2:
                passed = replace(passed, logits=passed.logits * float("nan"))
            return passed

    tiny = Tiny(layers=LAYERS)
    settings = {"max_new_tokens": 30}
    plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3, 4]), StopRule(5))
    wanted = tokens_of(generated(tiny, Autoregressive(), [3], settings))
    found = generated(tiny, InTurn((plan,)), [3], settings, Broken())
    assert tokens_of(found) == wanted
    assert max(done.outcome.drafted for done in found[1:]) == 2


def test_seconds_are_counted_where_they_are_spent(monkeypatch):
    """The clock is read at the start, after planning, drafting, verifying and learning."""
    monkeypatch.setattr(engines, "perf_counter", iter((5, 6)).__next__)
    plan = DraftPlan(SkipSet.from_sublayers(LAYERS, [3]), StopRule(1))
    executor = tiny_executor(Tiny(layers=LAYERS))
    rounds = Engine(executor, InTurn((plan,)), Law(), Limits(3)).rounds([3, 8])
    first = next(rounds)
    assert (first.index, first.seconds) == (0, 1)
    assert first.low_bit_seconds == Round(0, (1,), 1.0).low_bit_seconds == 0.0
    monkeypatch.setattr(engines, "perf_counter", iter((5, 6, 8, 12, 20, 36, 68)).__next__)
    done = next(rounds)
    outcome = done.outcome
    spent = (outcome.select_seconds, outcome.draft_seconds, outcome.verify_seconds)
    assert (done.index, *spent, done.seconds) == (1, 2 + 16, 4, 8, 63)


def test_a_planner_gets_the_given_prices_or_equal_ones():
    seen = []
    planner = Answering(lambda context: (seen.append(context.costs), NOTHING)[1])
    executor = tiny_executor(Tiny(layers=LAYERS))
    given = CostModel.even(LAYERS)
    for costs in (given, None):
        list(Engine(executor, Planning(planner), Law(), Limits(2), costs).rounds([3]))
    assert seen[0] is given
    assert seen[1] == CostModel.even(LAYERS)


NOTHING = DraftPlan(SkipSet.none(LAYERS), StopRule(0))


@dataclass(frozen=True)
class Planning(LayerSelector):
    """A strategy with a given planner."""

    planner: Planner

    def start(self, shape):
        return self.planner


class NothingAfter:
    """Excludes every token after this many of the sequence."""

    def __init__(self, count):
        self._count = count

    def __call__(self, input_ids, scores):
        return scores if input_ids.shape[1] < self._count else scores - float("inf")


@pytest.mark.parametrize("ends", [frozenset(), frozenset(range(23))])
def test_processors_that_exclude_every_token_are_refused_unless_the_text_has_ended(ends):
    executor = tiny_executor(Tiny())
    law = Law((NothingAfter(4),), seeded_choice(torch.Generator().manual_seed(0)))
    skips = SkipSet.from_sublayers(executor.shape.layers, [3])
    plan = FixedSkips(skips, StopRule(3))
    rounds = Engine(executor, plan, law, Limits(5, ends)).rounds([3, 1, 4])
    if ends:
        assert len([token for done in rounds for token in done.tokens]) == 1
    else:
        with pytest.raises(InvalidRequest, match="exclude every token"):
            list(rounds)
