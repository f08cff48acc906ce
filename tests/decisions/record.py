"""What every strategy decides on fixed models at made prices, round by round.

`python tests/decisions/record.py [FILE]` writes the recording that `test_decisions` holds the code
to. Record again only where a strategy is meant to decide otherwise, and say so in the change.

Nothing here depends on the machine: models compute in float64, prices are made by hand, draws come
from Python's own generator, and the clock is moved by the model's work alone, a walk by its price.
However often measurements read that clock, it tells the same.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specframe.calibration.lab import ModelLab
from specframe.contract.naming import read_named, strategy_from
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.doors.loading import load
from specframe.executors.load import load_executor
from specframe.testbed import suite
from specframe.testing import falling_noise, planted_llama
from specframe.types import DraftPlan, ModelShape, Prompt

RECORDED = Path(__file__).with_name("recorded.json")
SEED = 3  # of sampled runs
DIGITS = 8  # of recorded numbers
SURE = 1.0 - 1e-9
TICK = 2.0**-30  # seconds are whole multiples, so that their sums do not depend on the order

# ---- What the recording asks of specframe: all that a change of its interfaces has to adapt.


def built(case: str, world: World) -> Any:
    """The strategy that a case names, ready to generate."""
    named = read_named(case)
    options = dict(named.options)
    if named.name in CALIBRATED:
        options = world.effort(named.name, named.preset) | options
    return strategy_from(named.name, world.executor.shape, named.preset, options)


def calibrated(strategy: Any, world: World) -> Any:
    """The same after it has learnt from the world's prompts."""
    return strategy.calibrate(world.lab, world.lessons)


def figures_of(strategy: Any) -> dict[str, Any]:
    """What calibration found, without seconds."""
    found = strategy.figures()
    wanted = ("attention", "mlp", "draft", "acceptance", "speed")
    judged = {name: one.figures() for name, one in strategy.skip_sets().items()}
    sets = {name: [one[figure] for figure in wanted] for name, one in judged.items()}
    others = ("ended", "exit", "layers", "acceptance", "bare_exit")
    return {"sets": sets} | {name: found[name] for name in others if name in found}


def generated(strategy: Any, world: World, prompt: Prompt, law: Law, count: int) -> Iterator[Any]:
    """Rounds of one sequence: each with its tokens, and its outcome but for the prompt's."""
    limits = Limits(count, world.ends)
    engine = Engine(world.executor, strategy, law, limits, world.costs)
    return engine.rounds(prompt.tokens)


def plan_of(outcome: Any) -> list[Any]:
    """What was planned, defaults at the end left out."""
    plan: DraftPlan = outcome.plan
    gain, tree = plan.stop.gain, plan.tree
    knots = sum(place * chance for place, (_, chance) in enumerate(gain.knots, 1)) if gain else 0.0
    told = [
        f"{plan.skips.bits:x}",
        plan.stop.max_tokens,
        plan.stop.confidence,
        [gain.price, knots] if gain else 0,
        [tree.widths, tree.by_confidence] if tree else 0,
        plan.copied or 0,
        int(plan.headed),
    ]
    while not told[-1]:
        told.pop()
    return told


def lab_of(world: World) -> ModelLab:
    """What strategies are calibrated with."""
    return ModelLab(world.executor, world.costs, new_tokens=world.answers, ends=world.ends)


def prices(layers: int) -> CostModel:
    """Attention grows with the context, everything a little with the rows."""
    contexts, rows = (0, 1_000), (1, 101)

    def table(first: float, by_context: float = 0.0, by_row: float = 0.008) -> Table:
        at = [first * (1.0 + by_context * n) for n in contexts]
        return Table(contexts, rows, tuple((one, one * (1.0 + 100 * by_row)) for one in at))

    return CostModel(
        (0,) * layers,
        attention=(table(1e-4, 0.01),),
        mlp=(table(1.6e-4),),
        base=table(3e-5),
        head=table(1e-4),
        step_seconds=1e-5,
        round_seconds=2e-5,
    )


def work_of(costs: CostModel) -> Callable[..., float]:
    """Seconds of a walk, from the arguments of the executor's own."""

    def seconds(step: Any, _: Any, skips: Any = None, **how: Any) -> float:
        span = {"start": how.get("start", 0), "stop": how.get("stop")}
        logits = how.get("rows", slice(None)) is not None
        return costs.walk(step.visible, step.tokens.numel(), skips, **span, logits=logits)

    return seconds


# ---- The clock.


class Clock:
    """Stands still but for the work of the model."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def moved_by(self, work: Callable[..., Any], seconds: Callable[..., float]) -> Any:
        """The same work, which now takes these seconds."""

        def timed(*given: Any, **named: Any) -> Any:
            self.now += TICK * round(seconds(*given, **named) / TICK)
            return work(*given, **named)

        return timed

    @contextmanager
    def told(self) -> Iterator[None]:
        """In place of the machine's clock, in every module of specframe."""
        real = time.perf_counter
        time.perf_counter = self  # type: ignore[assignment]
        _replace_everywhere(real, self)
        try:
            yield
        finally:
            time.perf_counter = real
            _replace_everywhere(self, real)


def _replace_everywhere(old: Any, new: Any) -> None:
    """In the loaded modules of specframe."""
    for module in [module for name, module in sys.modules.items() if name.startswith("specframe")]:
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)


CLOCK = Clock()

# ---- Models, prompts and cases.


@dataclass
class World:
    """A model with its prices, prompts to generate on and prompts to learn from."""

    executor: Any
    prompts: Sequence[Prompt]
    lessons: Sequence[Prompt]
    count: int  # tokens of the first run; the others have half of them
    longest: int  # of the first run of strategies that plan anew
    evaluations: tuple[int, int]  # of a search by predicted speed, of one by the clock
    answers: int = 16  # tokens of an answer that calibration judges on
    ends: frozenset[int] = frozenset()
    costs: CostModel = field(init=False)
    lab: ModelLab = field(init=False)

    def __post_init__(self) -> None:
        self.costs = prices(self.executor.shape.layers)
        self.executor.walk = CLOCK.moved_by(self.executor.walk, work_of(self.costs))
        self.lab = lab_of(self)

    def first_run(self, case: str) -> int:
        """Tokens of a case's first run."""
        return self.longest if case.startswith(REPLANNING) else self.count

    def effort(self, name: str, preset: str) -> dict[str, str]:
        """Settings of a short calibration that no clock ends."""
        settings = {"seconds": "1e9"}
        if name == "kangaroo":
            return settings | {"epochs": "3"}
        if name == "layerskip":
            return settings | {"prompts": "2", "new_tokens": "9", "longest": "3", "deepest": "8"}
        timed = preset == "faithful" and name != "knap-knn"
        settings["evaluations"] = str(self.evaluations[timed])
        if name in ("knn-ssd", "knap-knn"):
            settings["domain_evaluations"] = str(self.evaluations[timed] // 2)
        if timed:
            settings |= {"prompts": "2", "new_tokens": "12"}
        return settings


def planted(noise: Mapping[int, float], evaluations: tuple[int, int]) -> World:
    """A tiny model whose sublayers matter by what is set; each domain has tokens of its own."""
    layers = len(noise) // 2
    shape = ModelShape(layers, 32, 41, 4, 2, 8, 48, 256)
    model = planted_llama(shape, noise, dtype=torch.float64)
    chance = random.Random(layers)

    def drawn(domain: int) -> Prompt:
        tokens = chance.choices(range(1 + 20 * domain, 21 + 20 * domain), k=12)
        return Prompt(tuple(tokens), f"domain {domain}")

    prompts = [drawn(0), drawn(1)]
    lessons = [drawn(domain) for domain in (0, 1) for _ in range(6)]
    return World(load_executor(model), prompts, lessons, 80, 200, evaluations)


def testbed() -> World:
    """The model that ships with the package."""
    model, tokenizer = load("testbed")

    def asked(split: Any, count: int) -> list[Prompt]:
        found = chain.from_iterable(suite(name, count, split=split) for name in ("sql", "story"))
        return [Prompt(prompt.tokens(tokenizer), prompt.domain) for prompt in found]

    executor = load_executor(model.double())
    return World(executor, asked("test", 1), asked("validation", 4), 48, 48, (24, 6))


def unequal(layers: int) -> dict[int, float]:
    """Sublayers that matter unequally, all over the depth."""
    return {sublayer: 1.5 * size for sublayer, size in falling_noise(layers).items()}


def early(layers: int) -> dict[int, float]:
    """Sublayers that matter little after the first layer: leaving there pays."""
    return {sublayer: 1.0 if sublayer < 2 else 0.1 for sublayer in range(2 * layers)}


WORLDS: dict[str, Callable[[], World]] = {
    "planted-4": lambda: planted(unequal(4), (40, 3)),
    "planted-9": lambda: planted(unequal(9), (48, 3)),
    "early-6": lambda: planted(early(6), (24, 3)),
    "testbed": testbed,
}
EXITING = ("auto:", "autoregressive", "del:", "kangaroo:", "layerskip:", "specbound:")
REPLANNING = (  # these look again after 64 tokens, where enough are left for it to pay
    *("admg:best", "auto:best", "cas:best", "cascade:best", "clasp:best", "conflayers:best"),
    *("del:best", "knap-knn:best", "knapspec:", "specbound:best", "swift:best"),
)
CALIBRATED = ("kangaroo", "knap-knn", "knn-ssd", "layerskip", "oracle", "static-bo")
PRESETS = (
    *("admg", "auto", "cas", "cascade", "clasp", "conflayers", "del", "knapspec"),
    *("low-bit", "prompt-lookup", "random-skip", "specbound", "suffix", "swift", "uniform-skip"),
    *CALIBRATED,
)
FIXED = "fixed+attention=1+mlp=2"
CASES = (
    "autoregressive",
    FIXED,
    *(f"{name}:{preset}" for name in PRESETS for preset in ("best", "faithful")),
    f"{FIXED}+draft_stop=gain:16",
    f"{FIXED}+draft_stop=adaptive:12:0.6:0.9",
    f"{FIXED}+draft_tree=3-2-1",
    f"{FIXED}+draft_stop=confidence:8:0.5+draft_tree=0.9:1-0.5:2-4",
    "knapspec:best+draft_stop=gain:16+draft_tree=3-2-1",
    "swift:best+draft_stop=confidence:5:0.3",
    "layerskip+exit=2+draft_tree=2-1",
    "static-bo:best+draft_stop=gain:16",
    "cascade:best+of=swift",
    "auto:best+of=knapspec,swift,prompt-lookup",
)


def ids() -> list[str]:
    """All that is recorded; nothing is trained for the testbed."""
    return [f"{case}@{name}" for name in WORLDS for case in CASES if recorded_on(case, name)]


def recorded_on(case: str, name: str) -> bool:
    """Whether a case is played on this model."""
    if name == "testbed":
        return not case.startswith("kangaroo")
    return name != "early-6" or case.startswith(EXITING)


# ---- The recording.


RUNS = ("greedy", "other prompt", "sampled")


def decisions(name: str, wanted: Sequence[str] = RUNS) -> dict[str, Any]:
    """What calibration found, and each run's rounds: plan, drafted, accepted, emitted tokens."""
    case, _, place = name.rpartition("@")
    world = world_of(place)
    strategy, figures = built(case, world), {}
    with CLOCK.told():
        if case.partition(":")[0].partition("+")[0] in CALIBRATED and "exit=" not in case:
            strategy = calibrated(strategy, world)
            figures = figures_of(strategy)
        first, other = world.prompts
        greedy, sampled = Law(), Law(choose=draws(SEED))
        asked = {
            "greedy": (first, greedy, world.first_run(case)),
            "other prompt": (other, greedy, world.count // 2),
            "sampled": (first, sampled, world.count // 2),
        }
        runs = {name: run(strategy, world, *asked[name]) for name in wanted}
    return rounded({"figures": figures, **runs})


def run(strategy: Any, world: World, prompt: Prompt, law: Law, count: int) -> list[Any]:
    """The rounds of one sequence."""
    told = []
    for done in generated(strategy, world, prompt, law, count):
        outcome = done.outcome
        plan = [plan_of(outcome), outcome.drafted, outcome.accepted] if outcome else [[], 0, 0]
        told.append([*plan, list(done.tokens)])
    return told


def draws(seed: int) -> Callable[[Tensor], int]:
    """Draws from a distribution that are the same wherever its numbers nearly are.

    What is all but certain takes no draw: whether verification asks for one then hangs on rounding.
    """
    chance = random.Random(seed)

    def choose(law: Tensor) -> int:
        reached = law.double().cumsum(-1)
        if float(law.max()) > SURE * float(reached[-1]):
            return int(law.argmax())
        return int((reached <= chance.random() * float(reached[-1])).sum())

    return choose


def rounded(found: Any) -> Any:
    """Plain data with short numbers, as a file holds it."""
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [rounded(value) for value in found]
    return float(f"{found:.{DIGITS}g}") if isinstance(found, float) else found


@cache
def world_of(name: str) -> World:
    """Each is made once."""
    return WORLDS[name]()


def main() -> None:
    """Write the recording, a case a line."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDED
    lines = [f"{json.dumps(name)}:{packed(decisions(name))}" for name in ids()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def packed(found: dict[str, Any]) -> str:
    """As short JSON."""
    return json.dumps(found, separators=(",", ":"))


if __name__ == "__main__":
    main()
