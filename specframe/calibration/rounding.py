"""Fits a model's 4-bit weights to the inputs that its layers get on some texts.

The fitted weights are kept if, on other texts, drafts with them agree with the model more often
than drafts with weights that are rounded to the nearest values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.executors.executor import Executor
from specframe.executors.kept_rounding import keep_rounding, rounding_file
from specframe.executors.modules.lowering import is_linear, weight_of
from specframe.executors.rounding import Rounded, round_to_inputs
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import Continuation
from specframe.storage.user_cache import writing
from specframe.types import Estimate, SkipSet

__all__ = ["BITS", "FittedRounding", "fit_rounding", "has_rounding", "round_weights"]

BITS = 4  # at 8, the nearest values agree with the model almost always
MOMENTS = 4 << 30  # bytes: limit for second moments in memory
Tell = Callable[[str, int, int], None]
Texts = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class FittedRounding:
    """Acceptance of drafts with everything on 4-bit weights, on texts they were not fitted to."""

    nearest: Estimate
    fitted: Estimate
    weights: int  # matrices that were rounded
    tokens: int  # they were fitted to

    @property
    def kept(self) -> bool:
        """Whether the fitted weights are used from now on."""
        return self.fitted.value > self.nearest.value


@dataclass(frozen=True, slots=True)
class _Input:
    """Linear layers that read the same input."""

    first: nn.Module
    layers: tuple[nn.Module, ...]
    width: int


def has_rounding(model: Any) -> bool:
    """Whether 4-bit weights of this model are kept."""
    return rounding_file(model).is_file()


def fit_rounding(
    model: Any,
    executor: Executor,
    answers: Sequence[Continuation],
    unseen: Sequence[Continuation],
    tell: Tell | None = None,
) -> FittedRounding:
    """Round the weights for these answers, and keep them if they are better on unseen ones."""
    refusal = executor.refuses_low()
    if refusal is not None:
        raise UnsupportedModel(f"This model has no weights to round: {refusal}.")
    _forget(model, executor)
    estimator = AcceptanceEstimator(executor, unseen)
    everything = SkipSet(executor.shape.sublayers).lower(BITS)

    def acceptance() -> Estimate:
        found = estimator.estimate(everything)
        return Estimate.of_share(found.mean * found.places, found.places)

    nearest = acceptance()
    texts = [answer.tokens for answer in answers]
    weights = round_weights(model, texts, tell)
    executor.drop_low()
    found = FittedRounding(nearest, acceptance(), weights, sum(map(len, texts)))
    if not found.kept:
        _forget(model, executor)
    return found


def _forget(model: Any, executor: Executor) -> None:
    path = rounding_file(model)
    with writing(path):
        path.unlink(missing_ok=True)
    executor.drop_low()


@torch.no_grad()
def round_weights(model: Any, texts: Texts, tell: Tell | None = None) -> int:
    """Round every plain linear layer and the head to 4 bits, and keep the codes; returns how many.

    Layers that no text reaches, such as experts of a mixture, keep the nearest values. The texts
    are token ids and should be typical of the model's use.
    """
    if not texts:
        raise InvalidRequest("Rounding is fitted to texts. Give at least one.")
    inputs = _inputs(model, texts[0])
    rounded: list[tuple[Tensor, Rounded]] = []
    for few in _within(MOMENTS, inputs):
        moments = _moments(model, few, texts)
        for found in few:
            for layer in found.layers:
                weight = weight_of(layer)
                rounded.append((weight, round_to_inputs(weight, moments[found.first], BITS)))
            if tell is not None:
                tell("rounding weights", len(rounded), sum(len(each.layers) for each in inputs))
    keep_rounding(model, rounded)
    return len(rounded)


def _inputs(model: Any, text: Sequence[int]) -> list[_Input]:
    """Layers by the tensor that they read, in the order in which they run; then the head."""
    read: dict[int, tuple[Tensor, list[nn.Module]]] = {}  # holds tensors: ids are not reused

    def note(layer: nn.Module, given: tuple[Any, ...]) -> None:
        read.setdefault(id(given[0]), (given[0], []))[1].append(layer)

    linears = [module for module in model.base_model.modules() if is_linear(module)]
    _run(model, text, dict.fromkeys(linears, note))
    found = [_Input(layers[0], tuple(layers), x.shape[-1]) for x, layers in read.values()]
    head = model.get_output_embeddings()
    if is_linear(head):
        found.append(_Input(head, (head,), weight_of(head).shape[1]))
    return found


def _within(room: int, inputs: Sequence[_Input]) -> Iterator[list[_Input]]:
    few: list[_Input] = []
    for each in inputs:
        if few and 4 * sum(i.width**2 for i in (*few, each)) > room:
            yield few
            few = []
        few.append(each)
    yield few


def _moments(model: Any, inputs: Sequence[_Input], texts: Texts) -> dict[nn.Module, Tensor]:
    """The sum of x x^T over all rows of each input: [width, width] float32."""
    moments: dict[nn.Module, Tensor] = {}

    def add(layer: nn.Module, given: tuple[Any, ...]) -> None:
        rows = given[0].flatten(0, -2).float()
        product = rows.t() @ rows
        moments[layer] = moments[layer].add_(product) if layer in moments else product

    head = model.get_output_embeddings()
    hooks = {each.first: add for each in inputs if each.first is not head}
    for text in texts:
        states = _run(model, text, hooks)
        if any(each.first is head for each in inputs):
            add(head, (states,))
    return moments


def _run(model: Any, text: Sequence[int], hooks: Mapping[nn.Module, Callable[..., None]]) -> Tensor:
    """Run the model without its head; returns the head's input: [1, tokens, H]."""
    held = [layer.register_forward_pre_hook(hook) for layer, hook in hooks.items()]
    try:
        tokens = torch.tensor([list(text)], device=model.device)
        states: Tensor = model.base_model(tokens, use_cache=False)[0]
        return states
    finally:
        for hook in held:
            hook.remove()
