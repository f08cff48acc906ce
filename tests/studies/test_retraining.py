"""What each policy may search on, what it is charged, and when calibrating pays off."""

from dataclasses import dataclass
from typing import Any

import pytest
from doubles.priced_worlds import planted_rig

from specframe.studies import retraining
from specframe.studies.framework.running import run_study
from specframe.studies.retraining import STUDY, RetrainingSettings
from specframe.testbed.corpus import DOMAINS
from specframe.types import Prompt, SkipSet

SMALL = RetrainingSettings(
    periods=3, prompts=6, new_tokens=16, evaluations=30, shortest=10, longest=20, tokens=1000
)


@dataclass(frozen=True)
class Deployed:
    strategy: Any
    skips: SkipSet
    seen: frozenset
    seconds: float


class Drifting(retraining._Drift):
    """A set gains 1 for each domain of the period that it was searched on."""

    def _search(self, strategy, prompts):
        seen = frozenset(prompt.domain for prompt in prompts)
        self.searched.append((seen, {prompt.tokens for prompt in prompts}))
        return Deployed(strategy, SkipSet(8, 1), seen, 50.0)

    def _judge(self, period):
        mix = self._mix(period)
        self.judged[period] = {prompt.tokens for prompt in self._prompts(period, "test")}
        deployed = self.seen_now

        class Judge:
            plain_seconds = 1.0

            def best(self, skips):
                return 4, 1.0 + sum(domain in deployed() for domain in mix)

            def acceptance(self, skips):
                return 0.5

        return Judge()

    def row(self, policy, period):
        self.seen_now = lambda: self._deployed(policy, period).seen
        return super().row(policy, period)


@pytest.fixture
def drifting(monkeypatch):
    made = []

    def drift(settings, work):
        made.append(Drifting(settings, work))
        made[-1].searched, made[-1].judged = [], {}
        return made[-1]

    monkeypatch.setattr(retraining, "priced_rig", lambda *given: planted_rig())
    monkeypatch.setattr(retraining, "_Drift", drift)
    return made


def test_each_policy_searches_only_on_what_it_may_know(drifting, tmp_path):
    results = run_study(STUDY, SMALL, tmp_path)
    speed = {(row["policy"], row["period"]): row["speed"] for row in results["rows"]}
    # each period shares one of its two domains with the period before
    assert [speed["once", p] for p in range(3)] == [3.0, 2.0, 1.0]
    assert [speed["periodic", p] for p in range(3)] == [3.0, 2.0, 2.0]
    assert [speed["foreseen", p] for p in range(3)] == [3.0, 3.0, 3.0]
    assert [speed["broad", p] for p in range(3)] == [3.0, 3.0, 3.0]
    stream = drifting[0]
    assert {seen for seen, _ in stream.searched} >= {frozenset(DOMAINS)}
    served = stream.judged
    for seen, tokens in stream.searched:
        for period in served:  # searches use only prompts of earlier periods
            mine = tokens & served[period]
            assert not mine or (mine == tokens == served[period] and period < 2), seen
    charged = {p: results["calibration_seconds"][p] for p in ("once", "periodic", "broad")}
    assert charged == {"once": 50.0, "periodic": 150.0, "broad": 50.0}
    # 100 s more are spent; a token costs 1/3 + 1/2 + 1 s without, 1/3 + 1/2 + 1/2 s with it
    assert results["break_even_tokens"]["periodic"] == 200
    assert results["break_even_tokens"]["broad"] == 0
    without, with_it = 50 + 1000 * (11 / 6), 150 + 1000 * (8 / 6)
    assert results["gain"]["periodic"] == pytest.approx(without / with_it - 1)
    assert "pays off from 200 tokens" in results["answer"]


@pytest.mark.slow
def test_without_drift_recalibrating_never_pays_off(monkeypatch, tmp_path):
    monkeypatch.setattr(retraining, "priced_rig", lambda *given: planted_rig(head=0.1))
    results = run_study(STUDY, SMALL, tmp_path)
    speeds = {row["policy"]: row["speed"] for row in results["rows"] if row["period"] == 2}
    assert speeds["once"] > 1.2
    assert speeds["periodic"] <= speeds["once"] + 1e-9
    assert results["break_even_tokens"]["periodic"] is None
    assert results["gain"]["periodic"] < 0.0
    assert "never pays off" in results["answer"]


def test_an_answer_and_a_set_are_charged_once_per_prompt():
    rig = planted_rig()
    lab = retraining._ChargedLab(rig, 16)
    skips, prompt = SkipSet(8, 4), Prompt(tuple(range(1, 11)))
    lab.acceptance([skips], [prompt])
    costs = rig.costs
    answering = costs.walk(0, 10) + costs.walk(0, 26, logits=16) + 16 * costs.autoregressive(18)
    judging = costs.walk(26, 16, skips, logits=16)
    assert lab.seconds == pytest.approx(answering + judging)
    lab.acceptance([skips], [prompt])
    assert lab.seconds == pytest.approx(answering + judging)
    lab.acceptance([SkipSet(8, 0)], [prompt])
    assert lab.seconds == pytest.approx(answering + judging + costs.walk(26, 16, logits=16))
