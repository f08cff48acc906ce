"""What users call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.generation.utils import GenerateDecoderOnlyOutput

from specframe.contract.naming import strategy_from
from specframe.contract.selector import LayerSelector
from specframe.core.engine import Engine, Round
from specframe.core.stats import GenerationStats, StatsFold
from specframe.costs.measure import measured_profile
from specframe.costs.model import CostModel
from specframe.doors.arguments import Decoding, resolve
from specframe.errors import InvalidRequest
from specframe.executors.added_code import added_code
from specframe.executors.exactness import promised_exactness
from specframe.executors.executor import Executor
from specframe.executors.fused.fusible import reason_not_fusible
from specframe.executors.load import load_executor

__all__ = [
    "SelfSpeculator",
    "SpeculativeOutput",
    "generate",
    "prompt_tokens",
    "refuse_padding",
]


@dataclass
class SpeculativeOutput(GenerateDecoderOnlyOutput):  # type: ignore[misc]
    """The output of transformers with the figures of the generation."""

    stats: GenerationStats | None = None


class SelfSpeculator:
    """A model that drafts with some of its own sublayers skipped and verifies with all of them.

    `strategy` is a `LayerSelector`, a registered name or a folder that `save` wrote. `strict` pads
    products to a fixed number of rows, which makes float32 greedy decoding bit-exact as well.
    `costs` are the prices of sublayers on this machine. Without them, the profile kept for the
    model's shape is used; where there is none, one is measured on first use and kept, which takes
    seconds.
    `CostModel.even(layers)` prices all sublayers alike, without measuring.
    """

    executor: Executor

    def __init__(
        self,
        model: Any,
        strategy: LayerSelector | str = "autoregressive",
        *,
        tokenizer: Any = None,
        strict: bool = False,
        costs: CostModel | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._strict, self._given_costs = strict, costs
        self._code: tuple[str | None, str | None] | None = None
        self._choose_executor()
        if isinstance(strategy, str):
            strategy = strategy_from(strategy, self.executor.shape)
        self.strategy = strategy

    def _choose_executor(self) -> None:
        """Choose again where hooks or adapters have come or gone; before each generation."""
        code = added_code(self.model.named_modules()), reason_not_fusible(self.model)
        if code != self._code:
            self.executor = load_executor(self.model, strict=self._strict)
            self._code, self._costs = code, self._given_costs
        self._added, self._not_fused = code

    @property
    def costs(self) -> CostModel:
        """What sublayers cost here; even prices for a strategy that does not look at them."""
        if self._costs is None:
            self._costs = self._measured()
        return self._costs

    def _measured(self) -> CostModel:
        if not self.strategy.needs.prices or self._added is not None:
            return CostModel.even(self.executor.shape.layers)
        return measured_profile(self.model, self.executor).costs

    def rounds(self, inputs: Any, *, seed: int | None = None, **kwargs: Any) -> Iterator[Round]:
        """Generate round by round; the arguments are those of transformers' `generate`."""
        self._choose_executor()
        prompt = self._prompt(inputs)
        return self._rounds(prompt, self._decoding(prompt, seed=seed, **kwargs))

    def stream(self, inputs: Any, **kwargs: Any) -> Iterator[int]:
        """Committed tokens one by one, as soon as they are verified."""
        for done in self.rounds(inputs, **kwargs):
            yield from done.tokens

    def generate(self, inputs: Any, *, streamer: Any = None, **kwargs: Any) -> SpeculativeOutput:
        """Generate to the end. `streamer` receives committed tokens, as in transformers."""
        self._choose_executor()
        prompt = self._prompt(inputs)
        return self.collect(prompt, self._decoding(prompt, **kwargs), streamer=streamer)

    def collect(
        self, prompt: list[int], decoding: Decoding, *, streamer: Any = None
    ) -> SpeculativeOutput:
        """Run all rounds. `streamer` receives the prompt first, as in transformers."""
        fold = StatsFold(
            len(prompt),
            self.exactness(decoding.law.sampled),
            self._warnings(),
            lambda: self.executor.low_bytes,
            self._executor_words(),
        )
        tokens = list(prompt)
        if streamer is not None:
            streamer.put(torch.tensor([prompt]))
        for done in self._rounds(prompt, decoding):
            fold.add(done)
            tokens += done.tokens
            if streamer is not None:
                streamer.put(torch.tensor(done.tokens))
        if streamer is not None:
            streamer.end()
        sequences = torch.tensor([tokens], device=self.executor.device)
        return SpeculativeOutput(sequences=sequences, stats=fold.result())

    def exactness(self, sampled: bool = False) -> str:
        """What is promised about equality with this executor's autoregressive decoding."""
        if sampled:
            return "tokens follow the model's own distribution"
        return promised_exactness(self.model, self.executor).statement

    def _executor_words(self) -> str:
        name, reason = self.executor.name, self._not_fused
        return name if reason is None else f"{name} (not fused: {reason})"

    def _warnings(self) -> tuple[str, ...]:
        if self.strategy.needs.prices and self._added is not None and self._given_costs is None:
            return (
                f"All sublayers are priced alike, since {self._added}, which a measurement would "
                f"run. Pass `costs` to plan with prices.",
            )
        if self.strategy.needs.prices and not self.costs.facts:
            return (
                "The prices were not measured on this machine, so plans may not suit it. Leave "
                "`costs` out to have them measured.",
            )
        return ()

    def _decoding(self, prompt: list[int], **kwargs: Any) -> Decoding:
        kwargs.setdefault("tokenizer", self.tokenizer)
        executor = self.executor
        return resolve(self.model, prompt, executor.shape.positions, executor.device, **kwargs)

    def _rounds(self, prompt: list[int], decoding: Decoding) -> Iterator[Round]:
        engine = Engine(self.executor, self.strategy, decoding.law, decoding.limits, self.costs)
        return engine.rounds(prompt)

    def _prompt(self, inputs: Any) -> list[int]:
        if isinstance(inputs, str):
            if self.tokenizer is None:
                raise InvalidRequest(
                    "A text prompt needs a tokenizer. Pass tokenizer=... to SelfSpeculator, or "
                    "pass token ids."
                )
            inputs = self.tokenizer(inputs)["input_ids"]
        return prompt_tokens(inputs, self.executor.shape.vocabulary)


def generate(
    model: Any,
    inputs: Any,
    *,
    strategy: LayerSelector | str = "autoregressive",
    tokenizer: Any = None,
    strict: bool = False,
    costs: CostModel | None = None,
    **kwargs: Any,
) -> SpeculativeOutput:
    """Generate with self-speculative decoding; other arguments are those of transformers."""
    speculator = SelfSpeculator(model, strategy, tokenizer=tokenizer, strict=strict, costs=costs)
    return speculator.generate(inputs, **kwargs)


def prompt_tokens(inputs: Any, vocabulary: int) -> list[int]:
    """Token ids of one prompt from a tensor, a list or a tokenizer's output."""
    mask = None
    if isinstance(inputs, Mapping):
        mask, inputs = inputs.get("attention_mask"), inputs["input_ids"]
    ids = inputs if isinstance(inputs, Tensor) else torch.tensor(_plain(inputs))
    if ids.ndim == 2 and ids.shape[0] > 1:
        raise InvalidRequest(
            f"One prompt at a time: got a batch of {ids.shape[0]}. Call generate once a prompt."
        )
    refuse_padding(mask)
    tokens: list[int] = ids.reshape(-1).tolist()
    if not tokens:
        raise InvalidRequest("The prompt is empty. Pass at least one token, e.g. the BOS token.")
    if ids.ndim > 2 or ids.is_floating_point():
        raise InvalidRequest(
            f"Token ids are whole numbers in one row. Got {ids.dtype} of shape {tuple(ids.shape)} "
            f"instead."
        )
    out_of_range = [token for token in tokens if not 0 <= token < vocabulary]
    if out_of_range:
        raise InvalidRequest(
            f"Token {out_of_range[0]} is not in the model's vocabulary of {vocabulary}. "
            f"Use the tokenizer that belongs to the model."
        )
    return tokens


def refuse_padding(mask: Any) -> None:
    """Refuse a prompt whose attention mask, where it has one, leaves out a token."""
    if mask is not None and not bool(torch.as_tensor(mask).all()):
        raise InvalidRequest(
            "The prompt is padded (its attention mask holds zeros). Pass it without padding."
        )


def _plain(inputs: Any) -> Sequence[Any]:
    if isinstance(inputs, Sequence) and all(isinstance(token, int) for token in inputs):
        return inputs
    if isinstance(inputs, Sequence) and all(isinstance(row, Sequence) for row in inputs):
        rows = [row for row in inputs if all(isinstance(token, int) for token in row)]
        if len(rows) == len(inputs) and len({len(row) for row in rows}) == 1:
            return inputs
    raise InvalidRequest(
        f"A prompt is text, token ids or a tokenizer's output. Got {type(inputs).__name__} instead."
    )
