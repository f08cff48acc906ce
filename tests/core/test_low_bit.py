"""Low-bit drafts are lossless: sampled distributions and greedy tokens are the model's own."""

from time import sleep

import pytest
from doubles.architecture_doubles import executor_of
from doubles.laws import SAMPLINGS, Case, law_error
from doubles.tiny import FAMILIES, Tiny, tiny_executor
from hypothesis import given, settings
from hypothesis import strategies as st

from specframe.contract.drafting_options import WithDrafting
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.errors import UnsupportedModel
from specframe.executors.low_bit_copies import LowBitCopies
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.fixed import FixedSkips
from specframe.testing.architectures import MODULE
from specframe.types import SkipSet, StopRule, TreeRule

EXACT = 1e-12
SLOW = 0.1  # seconds that making a copy takes here
FAST = ("gemma2", "gpt2", "phi", "mixtral")  # one of each kind of layer


@st.composite
def three_states(draw, layers):
    """Any set with low-bit sublayers, a low-bit head or both."""
    size = 2 * layers
    states = draw(st.lists(st.sampled_from(["full", "low", "skipped"]), min_size=size))
    skipped = [i for i, state in enumerate(states[:size]) if state == "skipped"]
    low = [i for i, state in enumerate(states[:size]) if state == "low"]
    head = draw(st.booleans()) or not low
    return SkipSet.from_sublayers(layers, skipped).lower(draw(st.sampled_from([4, 8])), low, head)


@pytest.mark.parametrize(
    ("sampling", "tree"),
    [
        pytest.param(name, tree, marks=pytest.mark.slow if (number + bool(tree)) % 2 else ())
        for number, name in enumerate(SAMPLINGS)
        for tree in (None, TreeRule((2, 1)))
    ],
)
def test_low_bit_drafts_emit_the_models_distribution(sampling, tree):
    skips = SkipSet.from_sublayers(2, [2]).lower(4, [0, 3])
    strategy = WithDrafting(FixedSkips(skips, StopRule(3)), tree=tree)
    assert law_error(Case(strategy, SAMPLINGS[sampling])) < EXACT


@given(three_states(2))
@settings(max_examples=8)
def test_drafts_of_any_states_emit_the_models_distribution(skips):
    assert law_error(Case(FixedSkips(skips, StopRule(2)), new_tokens=3)) < EXACT


def tokens_of(strategy, executor, prompt=(3, 1, 4, 1, 5), budget=16):
    engine = Engine(executor, strategy, Law(), Limits(budget))
    return [token for done in engine.rounds(prompt) for token in done.tokens]


@pytest.mark.parametrize(
    ("family", "bits"), [(name, 8 if number % 2 else 4) for number, name in enumerate(FAMILIES)]
)
def test_greedy_tokens_of_low_bit_drafts_on_the_fused_executor(family, bits):
    executor = tiny_executor(Tiny(family, layers=3))
    wanted = tokens_of(Autoregressive(), executor)
    for skips in (SkipSet.none(3).lower(bits), SkipSet.from_sublayers(3, [3]).lower(bits, [4, 5])):
        assert tokens_of(FixedSkips(skips, StopRule(4)), executor) == wanted


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in MODULE],
)
def test_greedy_tokens_of_low_bit_drafts_on_the_module_executor(name):
    executor = executor_of(name)
    layers = executor.shape.layers
    strategy = FixedSkips(SkipSet.from_sublayers(layers, [3]).lower(4), StopRule(4))
    assert tokens_of(strategy, executor) == tokens_of(Autoregressive(), executor)
    assert executor.low_bytes > 0


@pytest.mark.parametrize("family", ["llama", MODULE[0]])
def test_time_to_make_copies_is_counted_separately(family, monkeypatch):
    executor = executor_of(family) if family in MODULE else tiny_executor(Tiny(family))
    executor.drop_low()  # other tests may have made copies
    make = LowBitCopies.get

    def slowly(copies, part, bits, making):
        return make(copies, part, bits, lambda: (sleep(SLOW), making())[1])

    monkeypatch.setattr(LowBitCopies, "get", slowly)
    skips = SkipSet.none(executor.shape.layers).lower(4)
    engine = Engine(executor, FixedSkips(skips, StopRule(4)), Law(), Limits(8))
    first, second = list(engine.rounds((3, 1, 4))), list(engine.rounds((3, 1, 4)))
    copies = 1 + executor.shape.sublayers
    assert sum(done.low_bit_seconds for done in first) > copies * SLOW
    assert sum(done.low_bit_seconds for done in second) == 0.0
    other = sum(done.seconds for done in first)
    assert other < copies * SLOW
    outcomes = [done.outcome for done in first if done.outcome is not None]
    assert sum(done.draft_seconds for done in outcomes) < other


def test_a_model_that_cannot_be_lowered_refuses_low_bit_drafts(monkeypatch):
    executor = tiny_executor()
    monkeypatch.setattr(type(executor), "refuses_low", lambda self: "it is made of stone")
    with pytest.raises(UnsupportedModel, match="made of stone"):
        tokens_of(FixedSkips(SkipSet.none(2).lower(4), StopRule(2)), executor)
