"""Prompts of several blocks, windows shorter and longer than one, trees of more than 32 rows."""

from functools import cache
from itertools import product

import pytest
import torch
from doubles.tiny import Tiny, tiny_model

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.filling import BLOCK, fill_cache
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.fused.sublayers import PROMPT_ROWS
from specframe.executors.modules.executor import ModuleExecutor
from specframe.strategies.autoregressive import Autoregressive
from specframe.types import DraftPlan, SkipSet, StopRule, TreeRule

POSITIONS = 8_400
NEW_TOKENS = 20
MODELS = {
    "everything seen": Tiny(positions=POSITIONS),
    "a window shorter than a block": Tiny("mistral", positions=POSITIONS, window=100),
    "a window longer than a block": Tiny("mistral", positions=POSITIONS, window=700),
}
KINDS = {kind.name: kind for kind in (FusedExecutor, ModuleExecutor)}
SKIPS = SkipSet.from_sublayers(2, [3])
PLANS = {
    "chains": DraftPlan(SKIPS, StopRule(7)),
    "trees": DraftPlan(SKIPS, StopRule(12), TreeRule((4,))),
}
contexts = pytest.mark.parametrize(
    ("kind", "length", "name"),
    [
        pytest.param(kind, length, name, marks=() if length == 1_100 else pytest.mark.slow)
        for kind, length, name in product(KINDS, (600, 1_100, 2_100, 8_200), MODELS)
    ],
)


@cache
def model_and_executor(kind, name):
    model = tiny_model(MODELS[name])
    return model, KINDS[kind](model)


def prompt_of(length):
    return torch.randint(23, (length,), generator=torch.Generator().manual_seed(length)).tolist()


def librarys_logits(model, tokens, last):
    with torch.no_grad():
        found = model(torch.tensor([tokens]), use_cache=False, logits_to_keep=last)
    return found.logits[0]


def emitted(executor, strategy, prompt):
    rounds = list(Engine(executor, strategy, Law(), Limits(NEW_TOKENS)).rounds(prompt))
    return [token for done in rounds for token in done.tokens], rounds


@contexts
def test_the_last_two_blocks_have_the_librarys_logits(kind, length, name):
    model, executor = model_and_executor(kind, name)
    prompt = prompt_of(length)
    cache = executor.new_cache(length)
    blocks = fill_cache(executor, cache, prompt, rows=slice(None))
    found = torch.cat([passed.logits[0] for _, passed in blocks])[-2 * BLOCK :]
    wanted = librarys_logits(model, prompt, len(found))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@contexts
def test_greedy_tokens_are_the_models_own(kind, length, name):
    """Of autoregressive decoding, of chains and of trees; the library agrees with each token."""
    model, executor = model_and_executor(kind, name)
    prompt = prompt_of(length)
    wanted, _ = emitted(executor, Autoregressive(), prompt)
    logits = librarys_logits(model, [*prompt, *wanted[:-1]], NEW_TOKENS)
    assert wanted == logits.argmax(-1).tolist()
    for form, plan in PLANS.items():
        found, rounds = emitted(executor, ConstantPlan(plan), prompt)
        assert found == wanted, form
        accepted = [done.outcome.accepted for done in rounds[1:]]
        assert any(accepted), form
        rows = [1 + len(done.outcome.draft.tokens) for done in rounds[1:]]
        assert (max(rows) > PROMPT_ROWS) == (form == "trees")
