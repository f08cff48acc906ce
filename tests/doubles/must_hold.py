"""The distributions and identities that a fault breaks."""

from contextlib import suppress
from dataclasses import dataclass

import torch

from doubles.laws import Case, Sampling, law_error, repetition_penalty, temperature
from doubles.strategies import Answering
from doubles.tiny import Tiny, tiny_executor, tiny_model
from specframe.contract.drafting_options import WithDrafting
from specframe.contract.selector import LayerSelector
from specframe.core.draft import Drafter
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.fused import executor as fused
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, SkipSet, Step, StopRule, TreeRule

EXACT = 1e-12


class Wrong(AssertionError):
    """A distribution or an identity does not hold."""


PENALTY = Sampling({"repetition_penalty": 1.7}, (repetition_penalty(1.7),))
TEMPERED = Sampling({"temperature": 0.6}, (temperature(0.6),))
ENDING = Sampling({"eos_token_id": 1}, (), frozenset({1}))
SKIPS = SkipSet.from_sublayers(2, [2, 3])
SKIPS_OF_THREE = SkipSet.from_sublayers(3, [3])
CHAIN = FixedSkips(SKIPS, StopRule(3))
LOW = FixedSkips(SkipSet.from_sublayers(2, [3]).lower(4, [1, 2]), StopRule(3))
TREE = WithDrafting(FixedSkips(SkipSet.from_sublayers(2, [0, 3]), StopRule(3)), tree=TreeRule((3,)))


def holds(case: Case) -> None:
    error = law_error(case, enough=EXACT)
    if error > EXACT:
        raise Wrong(f"the emitted law is off by {error:.2g}")


def law_of_chains() -> None:
    holds(Case(CHAIN))


def law_of_low_bit_chains() -> None:
    holds(Case(LOW))


def law_at_a_temperature() -> None:
    holds(Case(CHAIN, TEMPERED))


def law_with_history() -> None:
    holds(Case(CHAIN, PENALTY))


def law_with_an_end_token() -> None:
    holds(Case(CHAIN, ENDING))


def law_of_trees() -> None:
    holds(Case(TREE))


def greedy(strategy, executor, new_tokens=30) -> list[int]:
    engine = Engine(executor, strategy, Law(), Limits(new_tokens))
    tokens = [token for done in engine.rounds([3, 1, 4]) for token in done.tokens]
    assert len(tokens) == new_tokens
    assert all(0 <= token < executor.shape.vocabulary for token in tokens)
    return tokens


def identical(tree: TreeRule | None, sublayers: list[int]) -> None:
    executor = tiny_executor(Tiny(layers=3))
    plain = WithDrafting(FixedSkips(SkipSet.from_sublayers(3, sublayers), StopRule(4)), tree=tree)
    if greedy(plain, executor) != greedy(Autoregressive(), executor):
        raise Wrong("greedy tokens differ from autoregressive decoding")


def identity_of_greedy_chains() -> None:
    identical(None, [3])


def identity_of_greedy_trees() -> None:
    identical(TreeRule((3, 2)), [2])


@dataclass(frozen=True)
class Writing(LayerSelector):
    """Tries to change what was emitted."""

    def start(self, shape):
        return Answering(self._plan)

    def _plan(self, context):
        with suppress(AttributeError):
            context.tokens.__setitem__(-1, 0)
        return DraftPlan(SKIPS_OF_THREE, StopRule(2))


def identity_of_a_selector_that_writes() -> None:
    executor = tiny_executor(Tiny(layers=3))
    if greedy(Writing(), executor) != greedy(Autoregressive(), executor):
        raise Wrong("a selector changed the tokens")


def identity_of_the_draft() -> None:
    """Stepwise draft states against one block; the draft of a model that skips its last MLP."""
    executor = tiny_executor(Tiny(layers=3))
    skips = SkipSet.from_sublayers(3, [5])
    cache = executor.new_cache(20)
    prompt = [3, 1, 4, 1]
    step = Step(torch.tensor([prompt[:3]]), torch.arange(3), 0, 0)
    executor.walk(step, cache)
    cache.length = 3
    found = Drafter(executor, cache, Law(), prompt).run(DraftPlan(skips, StopRule(5)))
    rows = [1, *found.tokens]
    step = Step(torch.tensor([rows]), torch.arange(3, 9), 3, 3)
    block = executor.walk(step, cache, skips, taps=(5,))
    close = torch.allclose(found.states[5], block.taps[5], rtol=0, atol=EXACT)
    if not close or list(found.tokens) != block.logits[0, :-1].argmax(-1).tolist():
        raise Wrong("the draft is not what its skip set computes")


def identity_with_the_library() -> None:
    model = tiny_model(Tiny("mistral", window=5, sharpness=1.0))
    executor = fused.FusedExecutor(model)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        wanted = model(tokens, use_cache=False).logits
    step = Step(tokens, torch.arange(20), 0, 0)
    found = executor.walk(step, executor.new_cache(20)).logits
    if not torch.allclose(found, wanted, rtol=0, atol=1e-5):
        raise Wrong("the logits are not the library's")


def copies_of_changed_weights() -> None:
    """A low-bit walk after weights were changed in place against one that never had other ones."""
    every = SkipSet.none(2).lower(4)
    walked = []
    for used_before in (True, False):
        model = tiny_model(Tiny())
        executor = fused.FusedExecutor(model)
        if used_before:
            low_bit_logits(executor, every)
        for parameter in model.parameters():
            parameter.data.mul_(-0.5)
        walked.append(low_bit_logits(executor, every))
    if not torch.equal(*walked):
        raise Wrong("drafts run on the weights of before")


def low_bit_logits(executor, skips) -> torch.Tensor:
    step = Step(torch.tensor([[3, 1, 4]]), torch.arange(3), 0, 0)
    return executor.walk(step, executor.new_cache(8), skips).logits


HOLDS = (
    law_of_low_bit_chains,
    copies_of_changed_weights,
    law_of_chains,
    law_at_a_temperature,
    law_with_history,
    law_with_an_end_token,
    law_of_trees,
    identity_of_a_selector_that_writes,
    identity_of_greedy_chains,
    identity_of_greedy_trees,
    identity_of_the_draft,
    identity_with_the_library,
)
