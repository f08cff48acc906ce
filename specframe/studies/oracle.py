"""How far strategies are from the best plan there is, where every plan can be tried.

The 6-layer testbed has 4,096 skip sets. On the target's own answers to test prompts the one-pass
estimate gives the acceptance of each; with the prices of a 1.1B model, spread over six layers, that
is an exact speed-up for every set and draft length. A strategy can only be as good as what it
looks at allows: one that keeps one set for everything is compared with the best such set, one that
looks at the domain with the best set for each, one that looks at the prompt with the best for each.
What counts is the plan of every round, weighed by the tokens it emitted; what choosing it would
cost is told beside. Answers are sampled: this little model's greedy ones repeat themselves, and a
model that repeats itself needs no layers at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from specframe.contract.naming import strategy_from
from specframe.contract.options import require_at_least
from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.prompts.suites import BenchPrompt
from specframe.studies.framework.study import Bars, Findings, Row, Study, Work
from specframe.studies.worlds.calibrations import UNHURRIED, kept_or
from specframe.studies.worlds.every_plan import EveryPlan, Plan, pooled
from specframe.studies.worlds.priced_play import PlayedRound, play
from specframe.studies.worlds.small_world import LONGEST, SmallWorld, law_of, small_world

__all__ = ["STUDY", "OracleSettings"]

# strategy -> what its plan may depend on
LOOKS_AT = {
    "static-bo": "nothing",
    "knn-ssd": "domain",
    "knap-knn": "domain",
    "knapspec": "prompt",
}
ONE = {"nothing": "one plan for everything", "domain": "one per domain", "prompt": "one per prompt"}
MEAN = "mean"
LEAST = 1.2  # speed-up of the best plan, below which there is nothing to be far from
AIM = 0.03


@dataclass(frozen=True)
class OracleSettings:
    """Prompts are counted by domain; `profile` is a folder of prices, empty for the package's."""

    prompts: int = 6
    calibration: int = 16
    new_tokens: int = 64
    profile: str = ""

    def __post_init__(self) -> None:
        require_at_least(self, prompts=1, calibration=4, new_tokens=8)


def run(settings: OracleSettings, work: Work) -> Findings:
    """A row for each strategy and domain."""
    bench = _Bench(settings, work)
    rows = [
        work.row({"selector": name, "domain": domain}, partial(bench.row, name, domain))
        for name in LOOKS_AT
        for domain in (*bench.domains, MEAN)
    ]
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
            "plans": (1 << 12) * LONGEST + 1,
        },
        _answer(best, regret),
    )


def _answer(best: Mapping[str, float], regret: Mapping[str, float | None]) -> str:
    if best["nothing"] < LEAST:
        return (
            f"Void: the best plan of all gains {best['nothing']:.2f}x only, so that little can be "
            f"lost."
        )
    lost = ", ".join(f"{name} {value:.1%}" for name, value in regret.items() if value is not None)
    gained = ", ".join(f"{value:.2f}x by {ONE[kind]}" for kind, value in best.items())
    return f"Can be gained: {gained}. Of that is lost: {lost}."


class _Bench:
    """What rows are made from, made when the first one asks."""

    def __init__(self, settings: OracleSettings, work: Work) -> None:
        self._settings, self._work = settings, work
        self._played: dict[str, dict[str, list[PlayedRound]]] = {}

    @property
    def domains(self) -> list[str]:
        from specframe.testbed.corpus import DOMAINS

        return list(DOMAINS)

    @cached_property
    def _world(self) -> SmallWorld:
        asked = self._settings
        return small_world(asked.prompts, asked.calibration, asked.new_tokens, asked.profile)

    @cached_property
    def _plans(self) -> dict[str, EveryPlan]:
        """By test prompt."""
        self._work.tell(f"trying every skip set on {len(self._world.tests)} prompts")
        return {prompt.name: self._world.every_plan(prompt) for prompt in self._world.tests}

    @cached_property
    def _best(self) -> dict[tuple[str, str], Plan]:
        """The best plan by what is looked at and prompt."""
        found: dict[tuple[str, str], Plan] = {}
        for kind in ("nothing", "domain", "prompt"):
            for prompt in self._world.tests:
                alike = [p for p in self._world.tests if _key(kind, p) == _key(kind, prompt)]
                if prompt is alike[0]:
                    plan = pooled([self._plans[p.name] for p in alike]).best()
                    found |= {(kind, p.name): plan for p in alike}
        return found

    def row(self, name: str, domain: str) -> Row:
        """One strategy on one domain's prompts, or on all of them."""
        prompts = [p for p in self._world.tests if domain in (MEAN, p.domain)]
        kind, played = LOOKS_AT[name], self._rounds(name)
        best = {p.name: [(self._best[kind, p.name], 1.0)] for p in prompts}
        chosen = {
            p.name: [(_plan(done), float(done.tokens)) for done in played[p.name]] for p in prompts
        }
        speed, optimum = self._speed(prompts, chosen), self._speed(prompts, best)
        plain = sum(self._plans[p.name].seconds for p in prompts)
        selecting = sum(done.select_seconds for p in prompts for done in played[p.name])
        return {
            "looks_at": kind,
            "speed": speed,
            "optimum": optimum,
            "regret": 1.0 - speed / optimum,
            "selection": selecting / plain,
        }

    def _speed(
        self, prompts: Sequence[BenchPrompt], plans: Mapping[str, Sequence[tuple[Plan, float]]]
    ) -> float:
        """Speed-up over all prompts; a prompt's plans share its tokens as their weights say."""
        plain = spent = 0.0
        for prompt in prompts:
            every, weighed = self._plans[prompt.name], plans[prompt.name]
            whole = sum(weight for _, weight in weighed)
            plain += every.seconds
            spent += every.seconds * sum(w / whole / every.speeds[plan] for plan, w in weighed)
        return float(plain / spent)

    def _rounds(self, name: str) -> dict[str, list[PlayedRound]]:
        """What the strategy planned on each test prompt."""
        if name not in self._played:
            selector, world = self._selector(name), self._world
            self._work.tell(f"letting {name} plan")
            self._played[name] = {
                p.name: play(
                    world.executor, selector, world.costs, p.tokens, law_of(p), world.limits
                )
                for p in world.tests
            }
        return self._played[name]

    def _selector(self, name: str) -> LayerSelector:
        """Calibrated on the validation split, or as an interrupted run left it."""
        world, folder = self._world, self._work.folder
        shape = world.executor.shape
        options = {"stop": "fixed"}  # the length is a part of the plan that is judged
        if not strategy_class(name).traits.calibrated:
            return strategy_from(name, shape, "best", options)

        def calibrate() -> LayerSelector:
            self._work.tell(f"calibrating {name}")
            lab = world.lab(folder / "measurements.jsonl")
            chosen = strategy_from(name, shape, "best", {**options, "seconds": str(UNHURRIED)})
            return chosen.calibrate(lab, world.calibrating)

        return kept_or(folder / "calibrations" / name, shape, calibrate)


def _key(kind: str, prompt: BenchPrompt) -> str:
    return {"nothing": "", "domain": prompt.domain, "prompt": prompt.name}[kind]


def _plan(done: PlayedRound) -> Plan:
    return done.plan.skips.bits, min(done.plan.stop.max_tokens, LONGEST)


STUDY = Study(
    "oracle",
    "Regret against the best plan there is",
    "How much of the speed of the best possible plan does each strategy lose?",
    OracleSettings(),
    OracleSettings(prompts=2, calibration=8, new_tokens=32),
    run,
    Bars("regret", ("selector", "domain")),
)
