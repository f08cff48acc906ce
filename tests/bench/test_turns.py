"""Two answers in turns: each has its own clock and does not change the other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pytest
from doubles.ticking import TickingClock
from doubles.tiny import Tiny, tiny_model

from specframe.bench.asking import Question
from specframe.bench.contenders import Asked, StrategyContender
from specframe.bench.station import Station
from specframe.bench.summary import BASELINE
from specframe.bench.turns import in_turns
from specframe.core.engine import Round
from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.modules.executor import ModuleExecutor
from specframe.strategies.autoregressive import Autoregressive
from specframe.types import Draft, DraftPlan, Outcome, Prompt, SkipSet, StopRule

LARGE = CostModel.even(2)  # four seconds a token
PRICE, FREE = (Table((0,), (1,), ((seconds,),)) for seconds in (0.0005, 0.0))
SMALL = CostModel((0, 0), (PRICE,), (PRICE,), base=FREE, head=FREE)
NOTHING = Outcome(DraftPlan(SkipSet.of(2, [], []), StopRule(1)), Draft((), (), ()), 0, (1,))


@dataclass
class OnOneMachine:
    """Emits a token every `seconds`; every other second the machine is half as fast."""

    clock: TickingClock
    seconds: float
    count: int = 100
    ran: list[float] = field(default_factory=list)  # `seconds` of each round that ran
    strategy: Any = field(default_factory=Autoregressive)

    def rounds(self, prompt: list[int], **asked: Any) -> Iterator[Round]:
        for index in range(self.count):
            self.clock.now += self.seconds * (1.0 + int(self.clock.now) % 2)
            self.ran.append(self.seconds)
            yield Round(index, (1,), 0.0, NOTHING if index else None)


def contender(
    clock: TickingClock, seconds: float, costs: CostModel = LARGE, **more: Any
) -> StrategyContender:
    speculator: Any = OnOneMachine(clock, seconds, **more)
    return StrategyContender(f"{seconds}", "", speculator, costs)


@pytest.fixture
def clock(monkeypatch) -> TickingClock:
    return TickingClock(monkeypatch, ("specframe.bench.contenders",))


@pytest.mark.parametrize("begins", [False, True])
def test_a_machine_that_is_slow_for_a_while_slows_both(clock, begins):
    fast, slow = contender(clock, 0.01), contender(clock, 0.015)
    one, other = in_turns(fast, slow, [1], Asked(100), other_begins=begins)
    assert other.decode_seconds / one.decode_seconds == pytest.approx(1.5, rel=0.08)
    after, before = (speed.answer([1], Asked(100)) for speed in (slow, fast))
    assert after.decode_seconds / before.decode_seconds != pytest.approx(1.5, rel=0.08)


@pytest.mark.parametrize(("costs", "rounds"), [(LARGE, 1), (SMALL, 5)])
def test_a_model_that_may_stay_in_the_caches_has_longer_turns(clock, costs, rounds):
    ran: list[float] = []
    fast, slow = (contender(clock, seconds, costs, ran=ran) for seconds in (0.01, 0.010001))
    in_turns(fast, slow, [1], Asked(20))
    turns = [len(list(turn)) for _, turn in groupby(ran)]
    assert set(turns[2:10]) == {rounds}  # the first of each has the prompt's round too


def test_each_clock_runs_only_during_its_own_answer(clock):
    pair = in_turns(contender(clock, 0.01), contender(clock, 0.02), [1], Asked(100))
    total = sum(one.prefill_seconds + one.decode_seconds for one in pair)
    assert total == pytest.approx(clock.now)
    assert all(len(one.tokens) == 100 for one in pair)


def test_the_other_answer_continues_if_one_ends_early(clock):
    one, other = in_turns(contender(clock, 0.01, count=3), contender(clock, 0.01), [1], Asked(9))
    assert (len(one.tokens), len(other.tokens)) == (3, 100)


@pytest.mark.parametrize("repeat", [0, 1])
def test_a_row_of_a_strategy_has_the_baseline_that_answered_in_turns_with_it(clock, repeat):
    own, drafting = contender(clock, 0.015), contender(clock, 0.01)
    own.name, drafting.name = BASELINE, "drafting"
    station = Station([own, drafting])
    for _ in range(repeat + 1):  # the first one alternates
        row = station(Question(("drafting", ""), Prompt((1,), "sql", "sql/0"), 0.0, 0))
    seconds = row["own_ar_decode_seconds"] / row["decode_seconds"]
    assert seconds == pytest.approx(1.5, rel=0.08)


@pytest.mark.parametrize(("executor", "temperature"), [("fused", 1.0), ("module", 0.0)])
def test_answers_in_turns_are_the_same_as_alone(executor, temperature):
    model, costs = tiny_model(Tiny(layers=4)), CostModel.even(4)
    walked = FusedExecutor(model) if executor == "fused" else ModuleExecutor(model)
    one, other = (
        StrategyContender("", "", SelfSpeculator(model, name, costs=costs, executor=walked), costs)
        for name in ("autoregressive", "swift")
    )
    asked = Asked(40, temperature, seed=3)
    alone = []
    for contended in (one, other):
        alone.append(contended.answer([1, 2, 3], asked).tokens)
        contended.forget()
    turns = in_turns(one, other, [1, 2, 3], asked)
    assert [answer.tokens for answer in turns] == alone
