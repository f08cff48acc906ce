"""Simulated rounds for a strategy, on a tiny model and without real drafting."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from specframe.contract.planner import Context
from specframe.contract.selector import LayerSelector
from specframe.contract.tokens import TokenView
from specframe.core.probe import CacheProbe
from specframe.core.states import StateWindow
from specframe.costs.model import CostModel
from specframe.executors.executor import ALL_ROWS, Executor, chain_step
from specframe.executors.load import load_executor
from specframe.types import Draft, DraftPlan, ModelShape, Outcome

VOCABULARY = 31
POSITIONS = 256
LONGEST = 5  # most drafted tokens of a simulated round


class StrategyScene:
    """A tiny model with the given number of layers, and a text for it."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(VOCABULARY, (POSITIONS,), generator=generator)
        self.tokens: list[int] = drawn.tolist()

    @cached_property
    def executor(self) -> Executor:
        """An executor with random float64 weights."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = LlamaConfig(
                hidden_size=16,
                intermediate_size=24,
                num_hidden_layers=self.layers,
                num_attention_heads=2,
                num_key_value_heads=1,
                vocab_size=VOCABULARY,
                max_position_embeddings=POSITIONS,
                initializer_range=0.5,
                bos_token_id=None,
                eos_token_id=None,
            )
            return load_executor(LlamaForCausalLM(config).double().eval())

    @property
    def shape(self) -> ModelShape:
        return self.executor.shape

    def play(
        self, strategy: LayerSelector, *, prompt: int = 12, budget: int = 60, sampled: bool = False
    ) -> Play:
        """A sequence that keeps the states that this strategy needs."""
        return Play(self, strategy, prompt, budget, sampled)


class Play:
    """One sequence: `context` is what the engine would pass to `plan`; `advance` emits tokens."""

    def __init__(
        self, scene: StrategyScene, strategy: LayerSelector, prompt: int, budget: int, sampled: bool
    ) -> None:
        self._text, self._executor = scene.tokens, scene.executor
        self._window = StateWindow(strategy.needs, scene.shape)
        self._cache = self._executor.new_cache(POSITIONS)
        self._costs = CostModel.even(scene.shape.layers)
        self._prompt, self._budget, self._sampled = prompt, budget, sampled
        self._round = 0
        self.tokens = self._text[: prompt + 1]
        self._window.push_prompt(self._commit(self.tokens[:-1], self._window.prompt_depths))

    def context(self) -> Context:
        """The context that the engine would pass now."""
        return Context(
            shape=self._executor.shape,
            tokens=TokenView(self.tokens),
            prompt_length=self._prompt,
            budget=self._budget - (len(self.tokens) - self._prompt - 1),
            round=self._round,
            sampled=self._sampled,
            prompt_states=self._window.prompt,
            states=self._window.committed,
            costs=self._costs,
            probe=CacheProbe(self._executor, self._cache),
        )

    def stateless_context(self) -> Context:
        """The same context without captured states."""
        return replace(self.context(), prompt_states={}, states={})

    def advance(self, plan: DraftPlan, accepted: int = 1) -> Outcome:
        """A chain of the plan's length was drafted, and `accepted` of its tokens were accepted."""
        drafted = min(plan.stop.max_tokens, LONGEST)
        accepted = min(accepted, drafted)
        coming = self._coming(drafted + 1)
        wrong = [(token + 1) % VOCABULARY for token in coming]
        tokens = (*coming[:accepted], *wrong[accepted:drafted])
        copied = min(len(plan.copied), drafted)
        draft = Draft(
            tokens,
            tuple(range(-1, drafted - 1)),
            (1.0,) * copied + (0.9,) * (drafted - copied),
            self._distributions(drafted, copied),
            copied=copied,
        )
        return self._outcome(plan, draft, accepted, coming[: accepted + 1])

    def advance_undrafted(self, plan: DraftPlan) -> Outcome:
        """Nothing was drafted, for example because no token was left."""
        return self._outcome(plan, Draft((), (), (), self._distributions(0)), 0, self._coming(1))

    def advance_to_the_end(self, plan: DraftPlan) -> Outcome:
        """All drafted tokens were accepted, and the first one was an end token."""
        return replace(self.advance(plan, LONGEST), emitted=tuple(self._coming(1)))

    def advance_by_a_leaf(self, plan: DraftPlan) -> Outcome:
        """A tree was drafted, a spine of two with a leaf each; the first leaf was accepted."""
        leaf, bonus = self._coming(2)
        wrong = (leaf + 1) % VOCABULARY
        draft = Draft((wrong, 0, leaf, 1), (-1, 0, -1, 0), (0.6, 0.4), self._distributions(2))
        return self._outcome(plan, draft, 1, [leaf, bonus])

    def _outcome(self, plan: DraftPlan, draft: Draft, accepted: int, emitted: list[int]) -> Outcome:
        taps = self._commit([self.tokens[-1], *emitted[:-1]], self._window.depths)
        self._window.push({}, taps, range(len(emitted)))
        self.tokens = [*self.tokens, *emitted]
        self._round += 1
        return Outcome(plan, draft, accepted, tuple(emitted), 1e-4, 1e-3, 2e-3)

    def _coming(self, count: int) -> list[int]:
        return self._text[len(self.tokens) : len(self.tokens) + count]

    def _distributions(self, drafted: int, copied: int = 0) -> dict[int, torch.Tensor] | None:
        if not self._sampled:
            return None
        even = torch.full((VOCABULARY,), 1 / VOCABULARY)
        return {node - 1: even for node in range(copied, drafted)}

    def _commit(self, tokens: list[int], depths: frozenset[int]) -> dict[int, torch.Tensor]:
        step = chain_step(tokens, self._cache.length, self._executor.device)
        taps = self._executor.walk(step, self._cache, taps=depths, rows=ALL_ROWS).taps
        self._cache.commit(range(len(tokens)))
        return dict(taps)
