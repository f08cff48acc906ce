"""The overhead of rounds is measured with the engine itself, and stored."""

import pytest
from doubles.ticking import TickingClock
from doubles.tiny import Tiny, tiny_executor, tiny_model

from specframe.core import draft
from specframe.core.ranks import Ranks
from specframe.costs import measure as prices
from specframe.costs import rounds
from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.executors.cache import CursorCache
from specframe.executors.fused.executor import FusedExecutor
from specframe.profilers.latency import LatencyGrid
from specframe.types import DraftPlan, SkipSet, StopRule

GRID = LatencyGrid((16, 48), (1, 4, 8), budget_seconds=0.02)
NOTHING, SECOND = (Table((1,), (1,), ((price,),)) for price in (0.0, 1.0))
COSTS = CostModel((0, 0), (NOTHING,), (NOTHING,), base=SECOND, head=NOTHING)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def few_rounds(monkeypatch):
    """For tests that do not depend on the measured values."""
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "ROUNDS", (1, 2))
        yield


def test_the_overhead_of_rounds_and_drafted_tokens_is_measured(monkeypatch):
    clock = TickingClock(monkeypatch, ("specframe.core.engine", "specframe.costs.rounds"))
    clock.costs(FusedExecutor, "walk", 1.0)
    clock.costs(CursorCache, "commit", 8.0)
    clock.costs(draft, "continues", 0.25)
    found = prices.measure_round_costs(tiny_executor(), COSTS)
    assert found.round_seconds == pytest.approx(8.0)
    assert found.step_seconds == pytest.approx(0.25)
    assert found.attention == COSTS.attention


def test_the_fixed_part_is_negative_if_rounds_take_less_than_their_parts(monkeypatch):
    # autoregressive rounds take 0.96 of their walk, and others what their walks are priced at
    monkeypatch.setattr(
        prices, "timed_rounds", lambda *given, **more: ([0.96, 4.0, 8.0], [1.0, 4.0, 8.0])
    )
    found = prices.measure_round_costs(tiny_executor(), COSTS)
    assert found.round_seconds == pytest.approx(-0.05, abs=0.01)


def test_draft_walks_priced_too_high_do_not_make_every_round_more_expensive(monkeypatch):
    # drafting rounds are priced at 4 and 8 and take less; 0.1 of any round is not walks
    monkeypatch.setattr(
        prices, "timed_rounds", lambda *given, **more: ([1.1, 3.1, 6.1], [1.0, 3.0, 6.0])
    )
    found = prices.measure_round_costs(tiny_executor(), COSTS)
    assert found.round_seconds == pytest.approx(0.1)


@pytest.mark.parametrize(("saved", "kept"), [(0.3, 0.3), (5.0, 0.9)])
def test_a_chain_that_saves_part_of_each_walk_makes_drafted_tokens_cheaper(
    saved, kept, monkeypatch
):
    bare = [1.0 + drafted for drafted in prices.DRAFTS]
    whole = [b - saved * drafted for b, drafted in zip(bare, prices.DRAFTS, strict=True)]
    monkeypatch.setattr(prices, "timed_rounds", lambda *given, **more: (whole, bare))
    found = prices.measure_round_costs(tiny_executor(), COSTS)
    assert found.step_seconds == pytest.approx(-kept)  # never more than a walk's own part


def test_the_overhead_of_low_bit_rounds_is_fitted_to_rounds(monkeypatch):
    one, none = (Table((1,), (1,), ((price,),)) for price in (1.0, 0.0))
    low = [LowPrices(b, (none,), (one,), none, (1,), (1,), 1) for b in (4, 8)]
    costs = CostModel((0, 0), (one,), (one,), base=none, head=one, low=tuple(low))
    full, added = SkipSet.none(2), {4: (-0.25, 3.0), 8: (0.5, 0.0)}

    def timed(executor, plans, *given):
        """Twice the prices plus the overhead that must be found."""
        for plan in plans:
            step, once = added.get(plan.skips.low_bits, (0.0, 0.0))
            taken.append(2 * (costs.round(plan, 100) + once + step * plan.stop.max_tokens))
        return taken, taken

    taken = []
    monkeypatch.setattr(prices, "timed_rounds", timed)
    found = prices.measure_low_overhead(tiny_executor(), costs)
    for bits, (step, once) in added.items():
        priced = found.lowered(bits)
        assert (priced.step_seconds, priced.round_seconds) == pytest.approx((step, once))
    plain = costs.autoregressive(100)
    for plan, seconds in zip(
        [DraftPlan(full.lower(b), StopRule(d)) for b in (4, 8) for d in prices.LOW_DRAFTS],
        taken[1:],
        strict=True,
    ):
        assert found.round(plan, 100) / plain == pytest.approx(seconds / taken[0])


def test_a_model_without_low_bit_prices_has_none_to_correct():
    costs = CostModel.even(2)
    assert prices.measure_low_overhead(tiny_executor(), costs) is costs


@pytest.mark.usefixtures("few_rounds")
def test_a_profile_is_measured_once_and_found_afterwards_unless_a_grid_is_wider(monkeypatch):
    model = tiny_model(Tiny())
    executor = FusedExecutor(model)
    first = prices.measured_profile(model, executor, GRID)
    with monkeypatch.context() as patch:
        patch.setattr(prices, "_measured", lambda *given: pytest.fail("measured again"))
        assert prices.measured_profile(model, executor, GRID) == first
        assert prices.measured_profile(model, executor) == first
    wider, measured = LatencyGrid((16, 32, 48), (1, 4, 8)), []
    monkeypatch.setattr(prices, "_measured", lambda *given: measured.append(given) or first)
    assert prices.measured_profile(model, executor, wider) == first
    assert wider in measured[0]


class SecondRank(Ranks):
    """The second of two ranks; `found` are the values of the first one."""

    def __init__(self, *found):
        self.count, self.found, self.asked = 2, list(found), []

    def agree(self, *what):
        pass

    def from_first(self, *numbers):
        self.asked.append(numbers)
        return numbers

    def value_of_first(self, find):
        return self.found.pop(0)


@pytest.mark.usefixtures("few_rounds")
def test_other_ranks_measure_together_with_the_first_one_and_store_nothing(monkeypatch, tmp_path):
    model, ranks = tiny_model(Tiny()), SecondRank(None, "the first one's", None)
    monkeypatch.setattr(prices, "ranks_of", lambda *given: ranks)
    assert prices.measured_profile(model, FusedExecutor(model), GRID) == "the first one's"
    assert len(ranks.asked) > 1  # times that end the measurement, and those of rounds
    assert not list(tmp_path.iterdir())


def test_other_ranks_use_what_the_first_one_has_stored(monkeypatch):
    model = tiny_model(Tiny())
    monkeypatch.setattr(prices, "ranks_of", lambda *given: SecondRank("the first one's"))
    monkeypatch.setattr(prices, "_measured", lambda *given: pytest.fail("measured again"))
    assert prices.measured_profile(model, FusedExecutor(model), GRID) == "the first one's"
