"""Many generations in one process, with every strategy, most of them interrupted by an error.

After each error, the next generation is right, weights are unchanged and memory does not grow.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

import psutil
import pytest
import torch
from doubles.every_strategy import VARIANTS, ready
from transformers import StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from specframe.contract.planner import Planner
from specframe.core.draft import Drafter
from specframe.core.engine import Engine
from specframe.core.target import Target
from specframe.costs.model import CostModel
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.cache import CursorCache
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.modules.cache import LayerCache
from specframe.executors.modules.executor import ModuleExecutor
from specframe.strategies.autoregressive import Autoregressive
from specframe.testing.architectures import tiny_model

LONGEST = 24  # new tokens
PROMPTS = 12
WARM_UP = 0.25  # share of the generations before memory is measured
MOST_GROWTH = 1.02


class Broken(Exception):
    """Any error."""


class BrittlePlanner(Planner):
    """A planner that fails at a chosen call."""

    def __init__(self, planner: Planner, fail: Any) -> None:
        self._planner, self._fail = planner, fail

    def plan(self, context):
        self._fail("select")
        return self._planner.plan(context)

    def observe(self, outcome):
        self._fail("observe")
        self._planner.observe(outcome)


SEAMS = {
    "draft": ((Drafter, "run"),),
    "walk": ((FusedExecutor, "walk"), (ModuleExecutor, "walk")),
    "verify": ((Target, "judge"),),
    "decide": ((Target, "_decide"),),
    "commit": ((CursorCache, "commit"), (LayerCache, "commit")),
}
EVERY_SEAM = (*SEAMS, "select", "observe", "streamer", "criterion")


@contextmanager
def failing_at(seam: str, call: int, error: type[BaseException]) -> Iterator[Any]:
    """Raise at this call of the seam; yields the function that test doubles call first."""
    seen = 0

    def fail(name: str) -> None:
        nonlocal seen
        seen += name == seam
        if name == seam and seen == call:
            raise error

    with pytest.MonkeyPatch.context() as patch:
        for name, places in SEAMS.items():
            for owner, method in places:
                patch.setattr(owner, method, failing_first(getattr(owner, method), fail, name))
        begin = Engine._begin

        def brittle(self, prompt):
            live = begin(self, prompt)
            live.planner = BrittlePlanner(live.planner, fail)
            return live

        patch.setattr(Engine, "_begin", brittle)
        yield fail


def failing_first(function, fail, name):
    def wrapped(*given, **named):
        fail(name)
        return function(*given, **named)

    return wrapped


def never(ids, scores, **_):
    return torch.tensor([False])


class Streamer(BaseStreamer):
    def __init__(self, fail: Any) -> None:
        self.fail, self.tokens = fail, []

    def put(self, value):
        self.fail("streamer")
        self.tokens += value.reshape(-1).tolist()

    def end(self):
        self.fail("streamer")


@dataclass(frozen=True)
class Bench:
    """A model, and its output for a few prompts."""

    family: str

    @cached_property
    def speculator(self) -> SelfSpeculator:
        model = tiny_model(self.family).double()
        model.generation_config.eos_token_id = None
        costs = CostModel.even(model.config.num_hidden_layers)
        return SelfSpeculator(model, Autoregressive(), costs=costs)

    @cached_property
    def outputs(self) -> list[tuple[list[int], list[int]]]:
        """Prompts of many lengths, each with its greedy output."""
        drawn = Random(0)
        prompts = [[drawn.randrange(61) for _ in range(1 + 9 * n)] for n in range(PROMPTS)]
        return [(prompt, self.new_tokens(prompt, max_new_tokens=LONGEST)) for prompt in prompts]

    def new_tokens(self, prompt: list[int], strategy: Any = None, **given: Any) -> list[int]:
        self.speculator.strategy = strategy or Autoregressive()
        found = self.speculator.generate(prompt, **given)
        return found.sequences[0, len(prompt) :].tolist()


def one_generation(bench: Bench, drawn: Random, variant: str, seam: str) -> bool:
    """Generate with an error at the seam, then again; returns whether the error was raised."""
    prompt, answer = drawn.choice(bench.outputs)
    wanted = answer[: drawn.randint(1, LONGEST)]
    settings: dict[str, Any] = {"max_new_tokens": len(wanted)}
    if drawn.random() < 0.3:
        end = drawn.choice(wanted)
        settings["eos_token_id"] = end
        wanted = wanted[: wanted.index(end) + 1]
    strategy = ready(variant, bench.family)
    broken = False
    if drawn.random() < 0.7:
        error = drawn.choice((Broken, KeyboardInterrupt))
        with failing_at(seam, drawn.randint(1, 3), error) as fail:
            criterion = failing_first(
                lambda ids, scores, **_: torch.tensor([False]), fail, "criterion"
            )
            more = {"stopping_criteria": StoppingCriteriaList([criterion])}
            streamer = Streamer(fail)
            try:
                tokens = bench.new_tokens(prompt, strategy, streamer=streamer, **settings, **more)
            except (Broken, KeyboardInterrupt):
                broken = True
            else:
                assert tokens == wanted, (variant, seam)
    else:
        for done in bench.speculator.rounds(prompt, do_sample=True, **settings):
            if len(done.tokens) > 1:
                break  # abandoned
    assert bench.new_tokens(prompt, strategy, **settings) == wanted, variant
    return broken


def memory() -> int:
    """Resident bytes after garbage collection."""
    gc.collect()
    return psutil.Process().memory_info().rss


def soak(families: tuple[str, ...], generations: int, variants: Sequence[str]) -> None:
    benches = [Bench(family) for family in families]
    before = [[part.clone() for part in bench.speculator.model.parameters()] for bench in benches]
    for bench in benches:
        assert len({tuple(answer) for _, answer in bench.outputs}) > 1
        prompt, answer = bench.outputs[-1]
        for variant in variants:  # loads what is needed on first use
            found = bench.new_tokens(prompt, ready(variant, bench.family), max_new_tokens=LONGEST)
            assert found == answer, variant
    drawn, settled, broken = Random(1), 0, set()
    for number in range(generations):
        if number == int(generations * WARM_UP):
            settled = memory()
        turn, place = divmod(number, len(variants))
        variant, seam = variants[place], EVERY_SEAM[(number + turn) % len(EVERY_SEAM)]
        if one_generation(drawn.choice(benches), drawn, variant, seam):
            broken.add(seam)
    grown = memory() / settled
    assert grown < MOST_GROWTH, f"memory grew to {grown:.3f} of what it was"
    assert broken == {*EVERY_SEAM}
    for bench, parts in zip(benches, before, strict=True):
        pairs = zip(parts, bench.speculator.model.parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs), bench.family


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.usefixtures("own_cache")
def test_two_thousand_generations_leave_nothing_behind():
    soak(("llama", "gpt2"), 2_000, VARIANTS)
