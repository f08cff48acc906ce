"""ADMG by its rules, and as it pays."""

from dataclasses import replace

from doubles.contexts import plain_context
from doubles.strategies_worlds import outcome, prices, world
from hypothesis import given
from hypothesis import strategies as st

from specframe.strategies.admg import Admg, AdmgConfig, JudgedConfig, removed_attention
from specframe.testing.architectures import tiny_model
from specframe.types import ModelShape, SkipSet

SHAPE = ModelShape(8, 32, 61, 4, 2, 8, 48, 256)
SILENT = (1, 2, 5)  # the attention of these layers adds nothing
PLANTED = (*(2 * layer for layer in SILENT), 1)  # one MLP adds nothing either


# the rules


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=20),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.integers(1, 4),
)
def test_what_is_removed_keeps_every_rule(by_layer, threshold, share, in_a_row):
    turned = [turn for layer in by_layer for turn in layer]
    config = AdmgConfig(threshold=threshold, share=share, in_a_row=in_a_row)
    skips = removed_attention(turned, config)
    layers = len(turned) // 2
    assert not skips.mlp
    assert not set(skips.attention) & {0, layers - 1}
    assert all(1.0 - turned[2 * layer] >= threshold for layer in skips.attention)
    assert len(skips) <= share * layers
    runs = "".join(" x"[layer in skips.attention] for layer in range(layers)).split()
    assert all(len(run) <= in_a_row for run in runs)


def test_the_most_similar_are_removed_first_and_a_fourth_in_a_row_is_passed_over():
    turned = [0.0, 0.0, 0.01, 0.0, 0.02, 0.0, 0.03, 0.0, 0.025, 0.0, 0.029, 0.0, 0.9, 0.0, 0.0, 0.0]
    removed = [
        removed_attention(turned, AdmgConfig(share=count / 8)).attention for count in range(6)
    ]
    assert removed[:4] == [(), (1,), (1, 2), (1, 2, 4)]
    assert removed[4] == (1, 2, 4, 5)  # 3 is less similar than 5
    assert removed[5] == (1, 2, 4, 5)  # and would make five in a row


def test_attention_that_adds_nothing_is_removed(after_prompt):
    plan = Admg(AdmgConfig(threshold=0.999)).start(SHAPE).plan(after_prompt.context())
    assert plan.skips == SkipSet.of(8, attention=SILENT)
    assert plan.stop.max_tokens == 12
    assert plan.stop.confidence == 0.6


def test_nothing_is_drafted_if_nothing_is_removed(after_prompt):
    config = AdmgConfig(share=0.0)
    assert Admg(config).start(SHAPE).plan(after_prompt.context()).stop.max_tokens == 0
    phi = world(tiny_model("phi").double())  # attention and MLP read one stream
    config = AdmgConfig(threshold=-1.0)
    assert Admg(config).start(SHAPE).plan(phi.context()).stop.max_tokens == 0


def test_the_draft_s_threshold_steers_acceptance(after_prompt):
    planner = Admg(AdmgConfig()).start(SHAPE)
    plan = planner.plan(after_prompt.context())
    for _ in range(10):
        planner.observe(outcome(plan, accepted=0, drafted=4))
    assert planner.plan(after_prompt.context(round=1)).stop.confidence > 0.6


# preset best


def test_best_skips_attention_that_adds_nothing(after_prompt):
    context = after_prompt.context(budget=1_000, costs=prices(8, attention=(2.0, 0.0), row=0.001))
    plan = Admg(JudgedConfig(shares=7)).start(SHAPE).plan(context)
    assert plan.skips == SkipSet.of(8, attention=SILENT)
    assert plan.stop.max_tokens >= 1


def test_best_leaves_a_set_whose_drafts_are_rejected(after_prompt):
    context = after_prompt.context(budget=1_000, costs=prices(8, attention=(2.0, 0.0), row=0.001))
    planner = Admg().start(SHAPE)
    for index in range(30):
        plan = planner.plan(replace(context, round=index))
        drafted = min(plan.stop.max_tokens, 1)
        planner.observe(outcome(plan, accepted=0, drafted=drafted))
    assert plan.stop.max_tokens == 0


def test_best_drafts_nothing_where_it_does_not_pay(after_prompt):
    context = after_prompt.context(budget=1_000, costs=prices(8, attention=(0.01, 0.0)))
    assert Admg().start(SHAPE).plan(context).stop.max_tokens == 0


# configuration


def test_without_states_nothing_is_drafted():
    context = plain_context(SHAPE)
    for config in (JudgedConfig(), AdmgConfig()):
        assert Admg(config).start(SHAPE).plan(context).stop.max_tokens == 0


def test_only_the_configured_rows_are_used(after_prompt):
    """More rows of the prompt may have been captured for other strategies."""
    few = {depth: rows[-4:] for depth, rows in after_prompt.states.items()}
    for config in (AdmgConfig(rows=4), JudgedConfig(rows=4)):
        plans = [
            Admg(config)
            .start(SHAPE)
            .plan(after_prompt.context(prompt_states=states, costs=prices(SHAPE.layers)))
            for states in (few, after_prompt.states)
        ]
        assert plans[0] == plans[1]
