import torch
from doubles.written_lab import plain_costs

from specframe.executors.load import load_executor
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import Continuation
from specframe.testbed.evaluation.evaluate import predicted_speedup, search
from specframe.testbed.training.growth import grow, new_model
from specframe.testbed.training.recipe import TINY
from specframe.types import SkipSet


def _estimator() -> AcceptanceEstimator:
    model = grow(TINY, new_model(TINY))
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    rows = torch.randint(5, TINY.entries, (2, 30), generator=generator).tolist()
    return AcceptanceEstimator(load_executor(model), [Continuation(tuple(r), 8) for r in rows])


def test_found_sets_are_nested_and_the_first_sublayer_is_the_best_one() -> None:
    estimator, sublayers = _estimator(), 2 * TINY.layers
    found = search(estimator, sublayers, (1, 3, 6))
    assert [len(found[count]) for count in (1, 3, 6)] == [1, 3, 6]
    assert set(found[1]) < set(found[3]) < set(found[6])
    best = max(estimator.estimate(SkipSet(sublayers, 1 << one)).mean for one in range(sublayers))
    assert estimator.estimate(found[1]).mean == best


def test_a_higher_acceptance_rate_gives_a_higher_predicted_speedup() -> None:
    skips = SkipSet.from_sublayers(6, range(2, 12))
    high, low = (predicted_speedup(plain_costs(6), alpha, skips) for alpha in (1.0, 0.05))
    assert high > 2 * low
