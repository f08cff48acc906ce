"""The one-pass estimate is the acceptance of real drafts, token for token."""

import random
from itertools import takewhile
from operator import eq

import pytest
import torch
from doubles.architecture_doubles import executor_of
from doubles.tiny import Tiny, tiny_executor
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper

from specframe.core.draft import Drafter
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law, seeded_choice
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.profilers.acceptance import Acceptance, AcceptanceEstimator
from specframe.profilers.continuations import (
    Continuation,
    continue_prompts,
    judge,
    judge_prompts,
    text_states,
)
from specframe.strategies.autoregressive import Autoregressive
from specframe.types import DraftPlan, SkipSet, Step, StopRule

DEEP = Tiny(layers=4, sharpness=8.0)
WINDOWED = Tiny(family="mistral", layers=3, window=7)
PENALTY = RepetitionPenaltyLogitsProcessor(1.6)


def prompts(tiny, count=2, length=9):
    drawn = random.Random(tiny.seed)
    return [[drawn.randrange(tiny.vocabulary) for _ in range(length)] for _ in range(count)]


def random_skips(layers, seed):
    drawn = random.Random(seed)
    share = drawn.choice([0.1, 0.25, 0.5])
    return SkipSet.from_sublayers(layers, [i for i in range(2 * layers) if drawn.random() < share])


def real_draft(executor, law, tokens, skips, length):
    """Tokens drafted after these, by the drafter that generation uses."""
    cache = executor.new_cache(len(tokens) + length + 1)
    positions = torch.arange(len(tokens) - 1)
    row = torch.tensor([list(tokens[:-1])])
    executor.walk(Step(row, positions, 0, 0), cache, rows=None)
    cache.commit(range(len(tokens) - 1))
    return Drafter(executor, cache, law, tokens).run(DraftPlan(skips, StopRule(length)))


def target_token(executor, law, tokens):
    row = Step(torch.tensor([list(tokens)]), torch.arange(len(tokens)), 0, 0)
    logits = executor.walk(row, executor.new_cache(len(tokens)), rows=slice(-1, None)).logits
    return int(law.scores(logits[0], tokens, [()])[0].argmax())


@pytest.mark.parametrize(
    ("tiny", "law"),
    [(DEEP, Law()), (DEEP, Law((PENALTY,))), (WINDOWED, Law())],
    ids=["llama", "repetition penalty", "sliding window"],
)
def test_the_estimate_is_the_acceptance_of_really_drafted_first_tokens(tiny, law):
    executor = tiny_executor(tiny)
    texts = continue_prompts(executor, prompts(tiny), 10, law)
    estimator = AcceptanceEstimator(executor, texts, law)
    for seed in range(3):
        skips = random_skips(tiny.layers, seed)
        estimate = estimator.estimate(skips)
        for text, chances, confidences in zip(
            texts, estimate.chances, estimate.confidences, strict=True
        ):
            for place, chance in enumerate(chances):
                known = text.tokens[: text.prompt_length + place + 1]
                draft = real_draft(executor, law, known, skips, 1)
                assert chance == float(draft.tokens[0] == target_token(executor, law, known))
                assert 1.0 / tiny.vocabulary <= confidences[place] <= 1.0


@pytest.mark.parametrize("name", ["gemma2", "mixtral"])
def test_the_estimate_holds_on_models_that_the_library_walks(name):
    executor = executor_of(name)
    layers = executor.shape.layers
    texts = continue_prompts(executor, [list(range(1, 12))], 10)
    skips = SkipSet.of(layers, attention=[1], mlp=[layers - 1])
    (chances,) = AcceptanceEstimator(executor, texts).estimate(skips).chances
    for place, chance in enumerate(chances):
        known = texts[0].tokens[: 11 + place + 1]
        draft = real_draft(executor, Law(), known, skips, 1)
        assert chance == float(draft.tokens[0] == target_token(executor, Law(), known))


def test_trials_are_real_drafts():
    executor = tiny_executor(DEEP)
    texts = continue_prompts(executor, prompts(DEEP), 20)
    estimator = AcceptanceEstimator(executor, texts)
    lengths = set()
    for seed in range(2):
        skips = random_skips(DEEP.layers, seed + 10)
        for trial in estimator.drafts(skips, 4, every=1):
            text = texts[trial.continuation]
            here = text.prompt_length + trial.place + 1
            if here + 4 > len(text.tokens):
                continue
            drafted = real_draft(executor, Law(), text.tokens[:here], skips, 4).tokens
            equal = map(eq, drafted, text.tokens[here:])
            accepted = len(list(takewhile(bool, equal)))
            assert len(list(takewhile(bool, trial.chances))) == accepted
            lengths.add(accepted)
    assert lengths == {0, 1, 2, 3, 4}


def test_a_sampled_chance_is_the_overlap_of_both_distributions():
    law = Law((TemperatureLogitsWarper(0.8),), seeded_choice(torch.Generator().manual_seed(3)))
    executor = tiny_executor(DEEP)
    (text,) = continue_prompts(executor, prompts(DEEP, 1), 10, law)
    skips = SkipSet.of(4, attention=[1], mlp=[2])
    (chances,) = AcceptanceEstimator(executor, [text], law).estimate(skips).chances
    for place in (0, 4, 9):
        known = text.tokens[: text.prompt_length + place + 1]
        row = Step(torch.tensor([known]), torch.arange(len(known)), 0, 0)
        logits = executor.walk(row, executor.new_cache(len(known)), rows=slice(-1, None)).logits
        p = law.probabilities(logits[0], known, [()])[0]
        q = real_draft(executor, law, known, skips, 1).laws[-1]
        assert chances[place] == pytest.approx(float(torch.minimum(p, q).sum()), abs=1e-6)
    assert 0.05 < sum(chances) / len(chances) < 0.999


def test_continuations_are_what_the_engine_generates():
    executor = tiny_executor(DEEP)
    (prompt,) = prompts(DEEP, 1)
    (text,) = continue_prompts(executor, [prompt], 12)
    engine = Engine(executor, Autoregressive(), Law(), Limits(12))
    generated = [token for done in engine.rounds(prompt) for token in done.tokens]
    assert list(text.tokens[len(prompt) :]) == generated


@pytest.mark.parametrize("tiny", [DEEP, WINDOWED])
def test_prompts_judged_at_once_are_their_judged_continuations(tiny):
    executor, given = tiny_executor(tiny), prompts(tiny)
    wanted = [judge(executor, text) for text in continue_prompts(executor, given, 12)]
    found = judge_prompts(executor, given, 12)
    for one, other in zip(found, wanted, strict=True):
        assert (one.tokens, one.first, one.cache.length) == (
            other.tokens,
            other.first,
            other.cache.length,
        )
        torch.testing.assert_close(one.hidden, other.hidden)
    skips = random_skips(tiny.layers, 0)
    estimates = [AcceptanceEstimator(executor, texts).estimate(skips) for texts in (found, wanted)]
    assert estimates[0].chances == estimates[1].chances


def test_a_continuation_ends_at_an_end_token():
    executor = tiny_executor(DEEP)
    (prompt,) = prompts(DEEP, 1)
    (whole,) = continue_prompts(executor, [prompt], 8)
    end = whole.tokens[len(prompt) + 3]
    (cut,) = continue_prompts(executor, [prompt], 8, ends=frozenset([end]))
    assert cut.tokens == whole.tokens[: whole.tokens.index(end, len(prompt)) + 1]


def test_skipping_nothing_is_always_accepted_and_places_are_counted():
    executor = tiny_executor(DEEP)
    texts = continue_prompts(executor, prompts(DEEP), 6)
    estimate = AcceptanceEstimator(executor, texts).estimate(SkipSet.none(4))
    assert estimate.mean == 1.0
    assert estimate.places == 12
    assert estimate.error == 0.0


def test_a_continuation_shorter_than_a_draft_gives_no_trial():
    executor = tiny_executor(DEEP)
    texts = [Continuation((1, 2, 3, 4), 2), Continuation(tuple(range(12)), 3)]
    trials = AcceptanceEstimator(executor, texts).drafts(SkipSet.of(4, [1]), 4)
    assert [(trial.continuation, trial.place) for trial in trials] == [(1, 0), (1, 4)]


def test_the_error_of_a_mean_takes_continuations_for_independent_and_places_not():
    alike = Acceptance(((1.0, 0.0), (1.0, 0.0)), ((0.5, 0.5), (0.5, 0.5)))
    apart = Acceptance(((1.0, 1.0), (0.0, 0.0)), ((0.5, 0.5), (0.5, 0.5)))
    assert alike.error == 0.0
    assert apart.error == pytest.approx(0.5)


def test_bad_requests_are_refused():
    executor = tiny_executor(DEEP)
    with pytest.raises(InvalidRequest, match="pass at least one"):
        AcceptanceEstimator(executor, [])
    with pytest.raises(InvalidRequest, match="at least one token after it"):
        Continuation((1, 2), 2)
    estimator = AcceptanceEstimator(executor, [Continuation((1, 2, 3), 1)])
    with pytest.raises(InvalidConfig, match="length"):
        estimator.drafts(SkipSet.none(4), 0)


def test_states_past_the_last_sublayer_are_refused():
    executor = tiny_executor(Tiny())
    last = executor.shape.sublayers
    assert set(text_states(executor, [1, 2, 3], (0, last))) == {0, last}
    with pytest.raises(InvalidRequest, match=f"after 0 to {last} sublayers. Got depth {last + 1}"):
        text_states(executor, [1, 2, 3], (0, last + 1))
