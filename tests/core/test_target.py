"""How the target calls an executor, and which logits it refuses."""

from types import SimpleNamespace

import pytest
import torch
from doubles.drafts import LAYERS, prefilled
from doubles.tiny import Tiny, tiny_executor

from specframe.core.sampling import Law, seeded_choice
from specframe.core.target import Target
from specframe.core.verify import verify_greedy
from specframe.errors import NonFiniteLogits
from specframe.executors.executor import Decided
from specframe.types import Draft

TOKENS = [3, 1, 4]
CHAIN = Draft((5, 6), (-1, 0), (1.0, 1.0))
TREE = Draft((5, 6), (-1, -1), (1.0, 1.0))


def sampled():
    return seeded_choice(torch.Generator().manual_seed(0))


class Deciding:
    """An executor that records calls of `decide` and `walk`."""

    def __init__(self, logits=None, finite=True):
        executor = tiny_executor(Tiny(layers=LAYERS))
        self.cache, self.calls = prefilled(executor, TOKENS), []
        self._logits, self._finite = logits, finite
        self._vocabulary = executor.shape.vocabulary

    def decide(self, tokens, cache, *, start, hidden, taps):
        self.calls.append((tokens, start, hidden))
        return Decided([5, 6, 7], self._finite, {})

    def walk(self, step, cache, *, start, hidden, taps):
        self.calls.append("walk")
        logits = torch.zeros(1, step.rows, self._vocabulary)
        return SimpleNamespace(logits=logits if self._logits is None else self._logits, taps={})

    def judge(self, draft, law, prefix=0):
        return Target(self, self.cache, law, TOKENS).judge(draft, prefix, frozenset())[0]


def test_a_greedy_chain_is_decided_from_the_last_token_on():
    executor = Deciding()
    assert executor.judge(CHAIN, Law()) == verify_greedy(CHAIN, [5, 6, 7])
    assert executor.calls == [([4, 5, 6], 0, None)]


def test_a_prefix_that_the_draft_computed_is_not_run_again():
    executor, hidden = Deciding(), torch.zeros(1, 3, 2)
    executor.judge(Draft((5, 6), (-1, 0), (1.0, 1.0), states={2: hidden}), Law(), prefix=2)
    assert executor.calls == [([4, 5, 6], 2, hidden)]


@pytest.mark.parametrize(
    ("draft", "law"),
    [(CHAIN, Law(choose=sampled())), (CHAIN, Law((lambda ids, scores: scores,))), (TREE, Law())],
    ids=["sampled", "processed", "tree"],
)
def test_only_a_greedy_chain_without_processors_is_decided_by_the_executor(draft, law):
    executor = Deciding()
    executor.judge(draft, law)
    assert executor.calls == ["walk"]


def test_a_decision_that_is_not_finite_is_refused():
    with pytest.raises(NonFiniteLogits):
        Deciding(finite=False).judge(CHAIN, Law())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("choose", [None, sampled()], ids=["greedy", "sampled"])
def test_bad_logits_are_refused_even_if_a_processor_hides_them(choose, bad):
    law = Law((lambda ids, scores: scores.nan_to_num(0.0, posinf=0.0),), choose)
    logits = torch.zeros(1, 3, 23)
    Deciding(logits).judge(TREE, law)
    logits[0, 1, 9] = bad
    with pytest.raises(NonFiniteLogits):
        Deciding(logits).judge(TREE, law)


@pytest.mark.parametrize("law", [Law(), Law(choose=sampled())], ids=["greedy", "sampled"])
def test_a_model_may_exclude_a_token_everywhere(law):
    logits = torch.zeros(1, 3, 23)
    logits[..., 9] = float("-inf")
    Deciding(logits).judge(TREE, law)
    logits[0, 1] = float("-inf")  # a row that excludes every token
    with pytest.raises(NonFiniteLogits):
        Deciding(logits).judge(TREE, law)
