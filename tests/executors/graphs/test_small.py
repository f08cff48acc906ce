"""What is compiled computes what operations of torch do."""

from functools import partial

import pytest
import torch
from doubles.graphs import LONG, graphed
from doubles.tiny import tiny_executor

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.compiling import compiled, compiles
from specframe.executors.graphs.small import (
    PARTS,
    SmallOperations,
    compiled_operations,
    split_top,
    top,
)
from specframe.types import DraftPlan, SkipSet, StopRule

CPU = torch.device("cpu")


def test_both_ways_to_the_top_token_agree_ties_included():
    logits = torch.randint(0, 40, (50, 700), generator=torch.Generator().manual_seed(0)).float()
    for found, wanted in zip(split_top(logits), top(logits), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_show_in_the_score(wrong):
    logits = torch.zeros(2, 9)
    logits[1, 4] = wrong
    for way in (top, split_top):
        token, score = way(logits)
        assert score.isfinite().tolist() == [True, False]
        assert 0 <= int(token[1]) < 9


def test_nothing_is_compiled_for_a_cpu():
    assert not compiles(CPU)
    assert compiled(top, CPU) is top
    assert compiled_operations(CPU) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_generation_with_compiled_operations_is_the_same():
    small = SmallOperations(*map(partial(torch.compile, dynamic=False, fullgraph=True), PARTS))
    executor = graphed(LONG)
    executor.small = small
    plan = ConstantPlan(DraftPlan(SkipSet.of(3, (1,), (2,)), StopRule(5, confidence=0.01)))
    for _ in range(2):
        found, wanted = (
            [done.tokens for done in Engine(each, plan, Law(), Limits(30)).rounds([1, 2, 3])]
            for each in (executor, tiny_executor(LONG))
        )
        assert found == wanted
