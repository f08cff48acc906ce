"""The main class: a model that generates with a strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers.generation.utils import GenerateDecoderOnlyOutput

from specframe.calibration.lab import model_facts
from specframe.contract.naming import strategy_for
from specframe.contract.selector import LayerSelector
from specframe.core.engine import Engine, Round
from specframe.core.ranks import ranks_of, together
from specframe.core.stats import GenerationStats, StatsFold
from specframe.costs.measure import measured_profile
from specframe.costs.model import CostModel
from specframe.doors.arguments import Decoding, padding_token, require_seed, resolve
from specframe.doors.inputs import Prompts, prompts_of
from specframe.doors.second import loads_second
from specframe.doors.wrapped import walked_model
from specframe.errors import InvalidRequest
from specframe.executors.added_code import added_code
from specframe.executors.exactness import promised_exactness
from specframe.executors.executor import Executor
from specframe.executors.fused.fusible import reason_not_fusible
from specframe.executors.load import load_executor
from specframe.executors.module_tree import named_modules
from specframe.executors.modules.executor import ModuleExecutor

__all__ = ["SelfSpeculator", "SpeculativeOutput", "Strategy", "ending", "generate"]

Strategy = LayerSelector | type[LayerSelector] | str | Path


@dataclass
class SpeculativeOutput(GenerateDecoderOnlyOutput):  # type: ignore[misc]
    """The output of transformers with statistics of the generation.

    `stats` are those of all prompts together, `each` has those of each prompt of a batch.
    """

    stats: GenerationStats | None = None
    each: tuple[GenerationStats, ...] | None = None


class SelfSpeculator:
    """A model that drafts with some of its own sublayers skipped and verifies with all of them.

    `strategy` is a `LayerSelector`, a registered name such as `knapspec` or `knapspec:faithful`, a
    class, or a folder that `save` wrote. `strict` pads products to a fixed number of rows, which
    makes float32 greedy decoding bit-exact as well.
    `costs` are the prices of sublayers on this machine. By default, the stored profile of the
    model's shape is used; if there is none, one is measured on first use and stored, which takes
    seconds. `CostModel.even(layers)` gives all sublayers the same price, without measuring.
    `executor` is one that was loaded for this model: its low-bit copies are shared, and `strict`
    is taken from it.
    """

    executor: Executor

    def __init__(
        self,
        model: Any,
        strategy: Strategy = "autoregressive",
        *,
        tokenizer: Any = None,
        strict: bool = False,
        costs: CostModel | None = None,
        executor: Executor | None = None,
    ) -> None:
        if isinstance(model, str) or model is None:
            raise InvalidRequest(
                f"SelfSpeculator takes a model that is loaded. Got {model!r}; pass "
                f"specframe.load(...).model."
            )
        self.model = walked_model(model)
        self.tokenizer = tokenizer
        self._strict = strict if executor is None else executor.strict
        self._given_costs, self._given_executor = costs, executor
        self._code: tuple[str | None, str | None] | None = None
        self._choose_executor()
        found = strategy_for(
            strategy, self.executor.shape, lambda: model_facts(self.model, self.executor)
        )
        self.strategy = found.with_models(loads_second(self.executor, tokenizer, strict))

    def _choose_executor(self) -> None:
        """Choose again if hooks or adapters were added or removed, before each generation."""
        code = added_code(named_modules(self.model)), reason_not_fusible(self.model)
        if code != self._code:
            self.executor = self._loaded_executor(fusible=code[1] is None)
            self._code, self._costs = code, self._given_costs
            self._ranks = ranks_of(self.model, self.executor.device)
        added, self._not_fused = code
        self._unpriced = None if added is None else f"{added}, which a measurement would run"

    def _loaded_executor(self, fusible: bool) -> Executor:
        given = self._given_executor
        if given is not None and (given.name != ModuleExecutor.name) == fusible:
            return given
        return load_executor(self.model, strict=self._strict)

    @property
    def costs(self) -> CostModel:
        """Prices of sublayers; all the same for a strategy that does not use them."""
        if self._costs is None:
            self._costs = self._measured()
        return self._costs

    def _measured(self) -> CostModel:
        if not self.strategy.needs.prices or self._unpriced is not None:
            return CostModel.even(self.executor.shape.layers)
        return measured_profile(self.model, self.executor).costs

    def rounds(
        self, inputs: Any = None, *, seed: int | None = None, **kwargs: Any
    ) -> Iterator[Round]:
        """Generate round by round; the arguments are those of transformers' `generate`."""
        self._choose_executor()
        prompt = self._prompts(inputs, kwargs).one
        return self._rounds(prompt, self._decoding(prompt, seed=seed, **kwargs))

    def stream(self, inputs: Any = None, **kwargs: Any) -> Iterator[int]:
        """Yield committed tokens one by one, as soon as they are verified."""
        for done in self.rounds(inputs, **kwargs):
            yield from done.tokens

    def generate(
        self, inputs: Any = None, *, streamer: Any = None, seed: int | None = None, **kwargs: Any
    ) -> SpeculativeOutput:
        """Generate to the end; other arguments are those of transformers' `generate`.

        `inputs` is a text, token ids, a list of messages or a tokenizer's output, which may also be
        given as `**tokenizer(text)`. The prompts of a batch are processed one after the other, the
        nth with `seed` + n, and `sequences` are padded as in transformers. `streamer` receives the
        prompt and then committed tokens; its `end` is called after an error as well.
        """
        with ending(streamer):
            require_seed(seed)
            self._choose_executor()
            prompts = self._prompts(inputs, kwargs)
            answers = []
            for at, prompt in enumerate(prompts.rows if streamer is None else [prompts.one]):
                own_seed = None if seed is None else seed + at
                padding = prompts.width - len(prompt)
                decoding = self._decoding(prompt, seed=own_seed, padding=padding, **kwargs)
                if streamer is not None:
                    streamer.put(torch.tensor([prompt]))
                answers.append(self._answer(prompt, decoding, streamer))
        return self._output(prompts, answers, decoding.pad)

    def collect(
        self, prompt: list[int], decoding: Decoding, *, streamer: Any = None
    ) -> SpeculativeOutput:
        """Run all rounds. `streamer` receives committed tokens, but not the prompt or the end."""
        answer = self._answer(prompt, decoding, streamer)
        return self._output(Prompts((prompt,), len(prompt)), [answer], decoding.pad)

    def _answer(self, prompt: list[int], decoding: Decoding, streamer: Any) -> StatsFold:
        fold = self._fold(len(prompt), decoding.law.sampled)
        for done in self._rounds(prompt, decoding):
            fold.add(done)
            if streamer is not None:
                streamer.put(torch.tensor(done.tokens))
        return fold

    def _fold(self, prompt_tokens: int, sampled: bool) -> StatsFold:
        return StatsFold(
            prompt_tokens,
            self.exactness(sampled),
            self._warnings(),
            lambda: self.executor.low_bytes,
            self._executor_words(),
        )

    def _output(
        self, prompts: Prompts, answers: Sequence[StatsFold], pad: int
    ) -> SpeculativeOutput:
        """Sequences of one length: prompts are padded on the left, new tokens on the right."""
        rows = []
        for prompt, answer in zip(prompts.rows, answers, strict=True):
            new = [token for done in answer.rounds for token in done.tokens]
            rows.append([*[pad] * (prompts.width - len(prompt)), *prompt, *new])
        longest = max(map(len, rows))
        sequences = torch.tensor(
            [row + [pad] * (longest - len(row)) for row in rows], device=self.executor.device
        )
        each = tuple(answer.result() for answer in answers)
        stats = each[0] if len(each) == 1 else self._together(answers).result()
        return SpeculativeOutput(sequences=sequences, stats=stats, each=each)

    def _together(self, answers: Sequence[StatsFold]) -> StatsFold:
        return replace(
            answers[0],
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            rounds=[done for answer in answers for done in answer.rounds],
        )

    def exactness(self, sampled: bool = False) -> str:
        """The guarantee of equality with this executor's autoregressive decoding, in words."""
        if sampled:
            return "tokens follow the model's own distribution"
        return promised_exactness(self.model, self.executor).statement

    def _executor_words(self) -> str:
        name, reason = self.executor.name, self._not_fused
        return name if reason is None else f"{name} (not fused: {reason})"

    def _warnings(self) -> tuple[str, ...]:
        if self.strategy.needs.prices and self._unpriced is not None and self._given_costs is None:
            return (
                f"All sublayers are priced alike, since {self._unpriced}. Pass `costs` to plan "
                f"with prices.",
            )
        if self.strategy.needs.prices and not self.costs.facts:
            return (
                "The prices were not measured on this machine, so plans may not fit it. Leave "
                "`costs` out to measure them.",
            )
        return ()

    def _decoding(self, prompt: list[int], **kwargs: Any) -> Decoding:
        kwargs.setdefault("tokenizer", self.tokenizer)
        if self._ranks is not None and kwargs.get("seed") is None:
            kwargs["seed"] = self._ranks.seed()
        executor = self.executor
        return resolve(self.model, prompt, executor.shape.positions, executor.device, **kwargs)

    def _rounds(self, prompt: list[int], decoding: Decoding) -> Iterator[Round]:
        engine = Engine(
            self.executor, self.strategy, decoding.law, decoding.limits, self.costs, self._ranks
        )
        rounds = engine.rounds(prompt)
        return rounds if self._ranks is None else together(rounds)

    def _prompts(self, inputs: Any, kwargs: dict[str, Any]) -> Prompts:
        """The prompts; `input_ids` and `attention_mask` are removed from the arguments."""
        given, mask = kwargs.pop("input_ids", None), kwargs.pop("attention_mask", None)
        if (inputs is None) == (given is None):
            raise InvalidRequest(
                f"A prompt is given as the first argument or as input_ids. Got "
                f"{'neither' if given is None else 'both'}; pass one of them."
            )
        pad = padding_token(self.model, kwargs)
        vocabulary = self.executor.shape.vocabulary
        inputs = given if inputs is None else inputs
        return prompts_of(inputs, vocabulary, tokenizer=self.tokenizer, mask=mask, pad=pad)


def generate(
    model: Any,
    inputs: Any = None,
    *,
    strategy: Strategy = "autoregressive",
    tokenizer: Any = None,
    strict: bool = False,
    costs: CostModel | None = None,
    **kwargs: Any,
) -> SpeculativeOutput:
    """Generate as `SelfSpeculator.generate`; the other parameters are those of `SelfSpeculator`."""
    speculator = SelfSpeculator(model, strategy, tokenizer=tokenizer, strict=strict, costs=costs)
    return speculator.generate(inputs, **kwargs)


@contextmanager
def ending(streamer: Any) -> Iterator[None]:
    """End the streamer also after an error: a thread that reads from it would wait for ever."""
    if streamer is not None and not (hasattr(streamer, "put") and hasattr(streamer, "end")):
        raise InvalidRequest(
            f"The 'streamer' parameter of generate must have the methods put and end, as "
            f"transformers' TextStreamer has. Got {type(streamer).__name__} instead."
        )
    try:
        yield
    finally:
        if streamer is not None:
            streamer.end()
