"""How far strategies are from the best plan.

The 6-layer testbed has 4,096 skip sets. On the target's own generations for test prompts the
one-pass estimate gives the acceptance rate of each; with the prices of a 1.1B model, spread over
six layers, this gives an exact speed-up for every set and draft length. A strategy is compared with
the best plan that its information allows: one for all prompts, one for each domain or one for each
prompt. The plans of its rounds are weighted by the tokens they emitted; the cost of choosing them
is reported separately. Generations are sampled: greedy generations of such a small model repeat
themselves, and repetitions can be drafted without any layer.

Other models have too many skip sets to try. For them the best plan is the best of those tried:
nested sets of the least important sublayers, on all domains and on each, and the sets that
strategies used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from specframe.contract.options import require_at_least
from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.prediction.priced_rounds import PricedRound
from specframe.prompts.usual import TESTBED
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Bars, Findings, Row, Study, Work
from specframe.studies.worlds.calibrations import UNHURRIED, kept_or_calibrated
from specframe.studies.worlds.every_plan import EveryPlan, Plan, pooled
from specframe.studies.worlds.small_testbed import (
    LONGEST,
    SmallTestbed,
    real_model,
    small_testbed,
)
from specframe.studies.worlds.texts import texts_of
from specframe.types import Prompt

__all__ = ["STUDY", "OracleSettings"]

# strategy -> what its plans may depend on
LOOKS_AT = {
    "static-bo": "nothing",
    "knn-ssd": "domain",
    "knap-knn": "domain",
    "knapspec": "prompt",
}
ONE = {"nothing": "one plan for everything", "domain": "one per domain", "prompt": "one per prompt"}
MEAN = "mean"
LEAST = 1.2  # speed-up of the best plan, below which regret means nothing


@dataclass(frozen=True)
class OracleSettings:
    """Prompts are counted by domain; `profile` names prices, empty for the package's 1.1B.

    `testbed` means its version with six layers. `evaluations` are those of each search; 0 means
    those of the strategy's preset.
    """

    model: str = TESTBED
    prompts: int = 6
    calibration: int = 16
    new_tokens: int = 64
    evaluations: int = 0
    profile: str = ""

    def __post_init__(self) -> None:
        require_at_least(self, prompts=1, calibration=4, new_tokens=8, evaluations=0)


def run(settings: OracleSettings, work: Work) -> Findings:
    """A row for each strategy and domain."""
    regrets = _Regrets(settings, work)
    domains = texts_of(settings.model).known
    rows = regrets.rows("selector domain", product(LOOKS_AT, (*domains, MEAN)))
    means = {row["selector"]: row for row in rows if row["domain"] == MEAN}
    best = {LOOKS_AT[name]: row["optimum"] for name, row in means.items()}
    void = best["nothing"] < LEAST
    regret = {name: None if void else row["regret"] for name, row in means.items()}
    return Findings(
        {
            "void": void,
            "optimum": best,
            "regret": regret,
            "selection": {name: row["selection"] for name, row in means.items()},
            "sets": rows[0]["sets"],
        },
        _answer(best, regret, settings.model == TESTBED),
    )


def _answer(best: Mapping[str, float], regret: Mapping[str, float | None], every: bool) -> str:
    known = "possible speed-ups" if every else "speed-ups of all plans tried"
    if best["nothing"] < LEAST:
        return f"Not conclusive: the best plan gains only {best['nothing']:.2f}x."
    lost = ", ".join(f"{name} {value:.1%}" for name, value in regret.items() if value is not None)
    gained = ", ".join(f"{value:.2f}x by {ONE[kind]}" for kind, value in best.items())
    return f"The best {known} are {gained}. Of these are lost: {lost}."


class _Regrets(Measurement[OracleSettings]):
    @cached_property
    def _testbed(self) -> SmallTestbed:
        settings = self._settings
        sizes = settings.prompts, settings.calibration, settings.new_tokens, settings.profile
        if settings.model == TESTBED:
            return small_testbed(*sizes, self._work.place)
        return real_model(settings.model, *sizes, self._work.place)

    @cached_property
    def _plans(self) -> dict[str, EveryPlan]:
        """The speed-ups of every plan, by test prompt."""
        rounds = [self._rounds_of(name) for name in LOOKS_AT]
        self._work.tell(f"trying skip sets on {len(self._testbed.tests)} prompts")
        return {
            prompt.name: self._testbed.every_plan(
                prompt, {done.plan.skips.bits for own in rounds for done in own[prompt.name]}
            )
            for prompt in self._testbed.tests
        }

    @cached_property
    def _best(self) -> dict[tuple[str, str], Plan]:
        """The best plan, by what it may depend on and by prompt."""
        found: dict[tuple[str, str], Plan] = {}
        for kind in ("nothing", "domain", "prompt"):
            for prompt in self._testbed.tests:
                alike = [p for p in self._testbed.tests if _key(kind, p) == _key(kind, prompt)]
                if prompt is alike[0]:
                    plan = pooled([self._plans[p.name] for p in alike]).best()
                    found |= {(kind, p.name): plan for p in alike}
        return found

    def row(self, name: str, domain: str) -> Row:
        """One strategy on one domain's prompts, or on all of them."""
        prompts = [p for p in self._testbed.tests if domain in (MEAN, p.domain)]
        kind, rounds = LOOKS_AT[name], self._rounds_of(name)
        best = {p.name: [(self._best[kind, p.name], 1.0)] for p in prompts}
        chosen = {
            p.name: [(_plan(done), float(done.tokens)) for done in rounds[p.name]] for p in prompts
        }
        speed, optimum = self._speed(prompts, chosen), self._speed(prompts, best)
        plain = sum(self._plans[p.name].seconds for p in prompts)
        selecting = sum(done.select_seconds for p in prompts for done in rounds[p.name])
        return {
            "looks_at": kind,
            "speed": speed,
            "optimum": optimum,
            "regret": 1.0 - speed / optimum,
            "selection": selecting / plain,
            "sets": len(self._plans[prompts[0].name].sets),  # tried on the first prompt
        }

    def _speed(
        self, prompts: Sequence[Prompt], plans: Mapping[str, Sequence[tuple[Plan, float]]]
    ) -> float:
        """Speed-up over all prompts; a prompt's plans share its tokens by their weights."""
        plain = spent = 0.0
        for prompt in prompts:
            every, weighed = self._plans[prompt.name], plans[prompt.name]
            whole = sum(weight for _, weight in weighed)
            plain += every.seconds
            spent += every.seconds * sum(w / whole / every.speed(plan) for plan, w in weighed)
        return float(plain / spent)

    @remembered
    def _rounds_of(self, name: str) -> dict[str, list[PricedRound]]:
        """The strategy's rounds, by test prompt."""
        strategy, testbed = self._strategy(name), self._testbed
        self._work.tell(f"planning with {name}")
        return {p.name: testbed.rounds(strategy, p) for p in testbed.tests}

    def _strategy(self, name: str) -> LayerSelector:
        """The calibrated strategy; an interrupted run's calibration is used again."""
        testbed, folder = self._testbed, self._work.folder
        options = {"stop": "fixed"}  # the draft length belongs to the plan that is judged
        if not strategy_class(name).traits.calibrated:
            return testbed.rig.strategy(name, options=options)
        if evaluations := self._settings.evaluations:
            options["evaluations"] = str(evaluations)
            if strategy_class(name).traits.domain_aware:
                options["domain_evaluations"] = str(evaluations)
        return kept_or_calibrated(
            testbed.rig.strategy(name, options={**options, "seconds": str(UNHURRIED)}),
            testbed.lab(folder / "measurements.jsonl"),
            testbed.calibrating,
            folder / "calibrations" / name,
            lambda: self._work.tell(f"calibrating {name}"),
        )


def _key(kind: str, prompt: Prompt) -> str:
    return {"nothing": "", "domain": prompt.domain, "prompt": prompt.name}[kind]


def _plan(done: PricedRound) -> Plan:
    return done.plan.skips.bits, min(done.plan.stop.max_tokens, LONGEST)


STUDY = Study(
    "oracle",
    "Regret against the best possible plan",
    "How much speed does each strategy lose compared with the best possible plan?",
    OracleSettings(),
    OracleSettings(prompts=2, calibration=8, new_tokens=32),
    run,
    Bars("regret", ("selector", "domain")),
    real={"prompts": 1, "calibration": 4, "evaluations": 30},
    minutes=9,
)
