"""Small models, their probes and prices, shared by the tests of planning strategies."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from specframe.contract.planner import Context
from specframe.core.probe import CacheProbe
from specframe.costs.model import CostModel
from specframe.costs.tables import Table
from specframe.doors.speculator import SelfSpeculator
from specframe.executors.load import load_executor
from specframe.types import Draft, Outcome, Step


@dataclass
class World:
    """A model after a prompt: its executor, cache, probe and all states."""

    executor: object
    probe: CacheProbe
    tokens: list
    states: dict  # depth -> [prompt, H]
    logits: torch.Tensor  # [prompt, V]

    @property
    def size(self):
        return self.executor.shape.sublayers

    def references(self, rows):
        return {depth: states[-rows:] for depth, states in self.states.items()}

    def alone(self, skips, rows):
        """States after each sublayer of the last rows, run by one skip set in ordinary passes."""
        first = len(self.tokens) - rows
        cache = self.executor.new_cache(len(self.tokens) + 1)
        head = Step(torch.tensor([self.tokens[:first]]), torch.arange(first), 0, 0)
        self.executor.walk(head, cache)
        cache.commit(range(first))
        tail = Step(
            torch.tensor([self.tokens[first:]]), torch.arange(first, first + rows), first, first
        )
        return self.executor.walk(tail, cache, skips, taps=range(self.size + 1))

    def context(self, budget=100, costs=None, **more):
        given = {
            "shape": self.executor.shape,
            "tokens": [*self.tokens, 0],
            "prompt_length": len(self.tokens),
            "budget": budget,
            "round": 0,
            "costs": costs or CostModel.even(self.executor.shape.layers),
            "prompt_states": self.states,
            "probe": self.probe,
        }
        return Context(**{**given, **more})


def world(model, length=24, seed=5, tokens=None):
    """The model's executor after a random prompt, or after these tokens."""
    executor = load_executor(model)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(executor.shape.vocabulary, (length,), generator=generator).tolist()
    tokens, length = (drawn, length) if tokens is None else (tokens, len(tokens))
    cache = executor.new_cache(length + 1)
    step = Step(torch.tensor([tokens]), torch.arange(length), 0, 0)
    passed = executor.walk(step, cache, taps=range(executor.shape.sublayers + 1))
    cache.commit(range(length))
    states = {depth: rows[0] for depth, rows in passed.taps.items()}
    return World(executor, CacheProbe(executor, cache), tokens, states, passed.logits[0])


def outcome(plan, accepted=2, drafted=2, emitted=None, seconds=0.0):
    """A round of a drafted chain; by default it emits one token more than it accepted."""
    draft = Draft(tuple(range(drafted)), tuple(range(-1, drafted - 1)), (0.9,) * drafted)
    count = accepted + 1 if emitted is None else emitted
    return Outcome(plan, draft, accepted, tuple(range(count)), select_seconds=seconds)


def tokens_and_drafted(model, strategy, count=40, **how):
    """A generation after twenty tokens, prompt included, and how many of it were drafted."""
    prompt = torch.randint(3, 61, (1, 20), generator=torch.Generator().manual_seed(1))
    kept = {"max_new_tokens": count, "do_sample": False, "eos_token_id": None} | how
    layers = model.config.num_hidden_layers
    speculator = SelfSpeculator(model, strategy, costs=prices(layers, row=0.001))
    found = speculator.generate(prompt, **kept)
    return found.sequences[0].tolist(), found.stats.drafted


def prices(layers, attention=(1.0, 0.0), mlp=1.0, head=1.0, row=0.02):
    """Seconds: attention c3 + c2 n, MLP c1, each dearer by a share `row` with every further row."""
    contexts, rows = (0, 1000), (1, 101)

    def table(at):
        return Table(contexts, rows, tuple((at(n), at(n) * (1 + 100 * row)) for n in contexts))

    return CostModel(
        (0,) * layers,
        attention=(table(lambda n: attention[0] + attention[1] * n),),
        mlp=(table(lambda n: mlp),),
        base=table(lambda n: 0.1),
        head=table(lambda n: head),
    )


def first_token_acceptance(found, skips, rows):
    """Share of the last rows where one skipped pass over the target's cache has its top token."""
    first = len(found.tokens) - rows
    positions = torch.arange(first, len(found.tokens))
    columns = torch.arange(len(found.tokens))
    sees = torch.cat([columns < positions[:, None], torch.eye(rows, dtype=torch.bool)], dim=1)
    step = Step(torch.tensor([found.tokens[first:]]), positions, None, len(found.tokens), sees)
    logits = found.probe.walk(step, skips, rows=slice(None)).logits[0]
    return float((logits.argmax(-1) == found.logits[first:].argmax(-1)).float().mean())
