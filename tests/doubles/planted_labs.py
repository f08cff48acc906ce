"""Tiny models with sublayers that do nothing, and labs over them."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch

from doubles.written_lab import plain_costs
from specframe.calibration.lab import ModelLab
from specframe.contract.judged_set import JudgedSet
from specframe.contract.selector import LayerSelector
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.costs.model import CostModel
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.strategies.shared.judging.find_set import best_draft
from specframe.testing import planted_llama
from specframe.testing.architectures import tiny_model
from specframe.types import ModelShape, Prompt, SkipSet

LAYERS = 4
PLANTED = SkipSet.from_sublayers(LAYERS, [2, 3, 5, 6])
FAMILIES = ("llama", "qwen3", "gpt2")


@cache
def planted_executor(family: str) -> Executor:
    """Skipping the planted set changes nothing; skipping anything else changes most tokens."""
    if family == "llama":
        shape = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
        noise = {i: 0.0 if i in PLANTED else 1.0 for i in range(2 * LAYERS)}
        return load_executor(planted_llama(shape, noise, dtype=torch.float64))
    model = tiny_model(family).double()
    for sublayer in range(2 * LAYERS):
        _scale(_output(model, family, sublayer), 0.0 if sublayer in PLANTED else 4.0)
    return load_executor(model)


def planted_lab(family: str, **given: Any) -> ModelLab:
    return ModelLab(planted_executor(family), plain_costs(LAYERS), **{"new_tokens": 24, **given})


def planted_prompts(domains: tuple[str, ...] = ("sql",), each: int = 8) -> tuple[Prompt, ...]:
    """Random tokens, drawn from another part of the vocabulary in each domain."""
    drawn = torch.Generator().manual_seed(7)
    share = 60 // len(domains)
    return tuple(
        Prompt(tuple((1 + d * share + torch.randint(share, (9,), generator=drawn)).tolist()), name)
        for d, name in enumerate(domains)
        for _ in range(each)
    )


def as_good_as_planted(judged: JudgedSet) -> bool:
    """Whether a set is worth what the planted one is, at its acceptance on unseen prompts."""
    costs, n = plain_costs(LAYERS), judged.context
    found = best_draft(costs, judged.skips, judged.acceptance.value, n, 12)[1]
    return found >= best_draft(costs, PLANTED, 1.0, n, 12)[1] - 1e-9


def greedy_tokens(
    executor: Executor,
    strategy: LayerSelector,
    prompt: Prompt,
    count: int = 40,
    costs: CostModel | None = None,
):
    """Tokens, and how many of them were drafted."""
    engine = Engine(executor, strategy, Law(), Limits(count), costs or plain_costs(LAYERS))
    tokens: list[int] = []
    drafted = 0
    for done in engine.rounds(prompt.tokens):
        tokens += done.tokens
        drafted += done.outcome.drafted if done.outcome is not None else 0
    return tokens, drafted


@cache
def own_tokens(executor: Executor, prompt: Prompt, count: int = 40) -> list[int]:
    return greedy_tokens(executor, Autoregressive(), prompt, count)[0]


def keeps_tokens(
    executor: Executor, strategy: LayerSelector, prompts: Iterable[Prompt], count: int = 40
) -> bool:
    """Whether each prompt gets the model's own tokens, and enough of them were drafted."""
    for prompt in prompts:
        tokens, drafted = greedy_tokens(executor, strategy, prompt, count)
        if tokens != own_tokens(executor, prompt, count) or drafted <= 10:
            return False
    return True


def _output(model: Any, family: str, sublayer: int) -> Any:
    if family == "gpt2":
        block = model.transformer.h[sublayer // 2]
        return block.mlp.c_proj if sublayer % 2 else block.attn.c_proj
    layer = model.model.layers[sublayer // 2]
    return layer.mlp.down_proj if sublayer % 2 else layer.self_attn.o_proj


@torch.no_grad()
def _scale(linear: Any, factor: float) -> None:
    linear.weight.mul_(factor)
    if linear.bias is not None:
        linear.bias.mul_(factor)
