"""A model with its executor, tokenizer, prices and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch

from specframe.calibration.lab import ModelLab, Tell, ends_of, model_facts
from specframe.calibration.rounding import FittedRounding, fit_rounding
from specframe.contract.naming import strategy_from
from specframe.contract.selector import LayerSelector
from specframe.costs.check import price_error
from specframe.costs.measure import measure_profile, measured_profile
from specframe.costs.model import CostModel
from specframe.doors.loading import load
from specframe.doors.second import loads_second
from specframe.doors.speculator import SelfSpeculator
from specframe.doors.tensor_parallel import sharing
from specframe.errors import InvalidRequest, PromptTooLong
from specframe.executors.device import compute_with, require_device, require_dtype
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.profilers.continuations import continue_prompts
from specframe.profilers.latency import LatencyProfile
from specframe.types import ModelShape, Prompt

__all__ = ["Rig"]

PRICES_OFF = 0.35  # other programs on the machine cause smaller errors
JUDGED_SHARE = 3  # one in three prompts tests rounded weights, the others are used to fit them


@dataclass(frozen=True, eq=False)
class Rig:
    """A model on this machine, for measurements and calibration."""

    name: str
    model: Any
    tokenizer: Any  # None for planted models
    executor: Executor
    ends: frozenset[int]  # end-of-sequence tokens
    facts: Mapping[str, str]  # about the model, for fingerprints of calibrations
    given_costs: CostModel | None = None
    tell: Tell | None = None

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        device: str | None = None,
        threads: int | None = None,
        dtype: str = "auto",
        strict: bool = False,
        costs: CostModel | None = None,
        tell: Tell | None = None,
        tensor_parallel: bool = False,
        **kwargs: Any,
    ) -> Self:
        """A model by name, folder or hub id; other arguments go to `from_pretrained`.

        `threads` sets the threads of torch for the whole process. `dtype` is auto (that of the
        stored weights), bfloat16, float16 or float32. With `tensor_parallel`, the processes that
        `torchrun` started share the weights of one model.
        """
        place = None if device is None else require_device(device)
        precision = require_dtype(dtype)
        compute_with(threads)
        if precision is not None:
            kwargs["dtype"] = precision
        if tensor_parallel:
            kwargs |= sharing(str(name), device)
            place = None
        loaded = load(name, **kwargs)
        model = loaded.model if place is None else loaded.model.to(place)
        return cls.of(
            model, loaded.tokenizer, name=str(name), strict=strict, costs=costs, tell=tell
        )

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Any = None,
        *,
        name: str = "",
        strict: bool = False,
        costs: CostModel | None = None,
        tell: Tell | None = None,
    ) -> Self:
        executor = load_executor(model, strict=strict)
        name = name or str(getattr(model.config, "_name_or_path", "")) or type(model).__name__
        facts = model_facts(model, executor)
        return cls(name, model, tokenizer, executor, ends_of(model), facts, costs, tell)

    @cached_property
    def _profile(self) -> LatencyProfile:
        tell = self.tell
        progress = None if tell is None else lambda done, of: tell("pricing", done, of)
        return measured_profile(self.model, self.executor, progress=progress)

    @property
    def costs(self) -> CostModel:
        """The given prices, or those of the stored profile; measured and stored on first use."""
        return self._profile.costs if self.given_costs is None else self.given_costs

    @property
    def price_warnings(self) -> tuple[str, ...]:
        """Problems of the measurement of prices that a user should know."""
        return tuple(self._profile.warnings) if self.given_costs is None else ()

    @property
    def shape(self) -> ModelShape:
        return self.executor.shape

    @property
    def device(self) -> torch.device:
        return self.executor.device

    def with_checked_prices(self, tell: Callable[[str], None] = lambda text: None) -> Self:
        """The same model; prices are measured again if they differ from rounds that are timed now.

        Otherwise, prices measured while another program was running would be used for ever.
        """
        if self.given_costs is not None:
            return self
        error = price_error(self.executor, self.costs)
        if error <= PRICES_OFF:
            return self
        tell(f"prices differ from rounds timed now by {error:.0%}: measuring again")
        measure_profile(self.model, self.executor)
        return replace(self)

    def priced(self, costs: CostModel) -> Self:
        return replace(self, given_costs=costs)

    def lab(
        self,
        *,
        new_tokens: int = 64,
        sampled: bool = False,
        facts: Mapping[str, str] | None = None,
        tell: Tell | None = None,
        notes: Path | None = None,
        make: Callable[..., ModelLab] | None = None,
    ) -> ModelLab:
        """The lab that strategies calibrate with; `facts` are added to those of the model."""
        return (make or ModelLab)(
            self.executor,
            self.costs,
            new_tokens=new_tokens,
            ends=self.ends,
            sampled=sampled,
            facts={**self.facts, **(facts or {})},
            tell=tell or self.tell,
            notes=notes,
        )

    def fit_rounding(self, prompts: Sequence[Prompt], new_tokens: int = 32) -> FittedRounding:
        """Round 4-bit weights to fit the model's own outputs; every third prompt tests them.

        If they are better, they are stored and used with these weights on this machine.
        """
        if len(prompts) < 2:
            raise InvalidRequest(
                f"Rounding needs at least 2 prompts, as some test it. Got {len(prompts)} instead."
            )
        self.require_room_for(prompts, new_tokens)
        texts = [prompt.tokens for prompt in prompts]
        answers = continue_prompts(self.executor, texts, new_tokens, ends=self.ends)
        unseen = answers[::JUDGED_SHARE]
        fitted_to = [answer for i, answer in enumerate(answers) if i % JUDGED_SHARE]
        return fit_rounding(self.model, self.executor, fitted_to, unseen, self.tell)

    def require_room(self, what: str, tokens: int, new_tokens: int) -> None:
        """Refuse a text that does not fit into the model's positions with `new_tokens`."""
        if tokens + new_tokens > self.shape.positions:
            raise PromptTooLong(
                f"{what} has {tokens} tokens, and with {new_tokens} new ones it exceeds the "
                f"{self.shape.positions} positions of {self.name}. Make it shorter, or generate "
                f"fewer new tokens."
            )

    def require_room_for(self, prompts: Iterable[Prompt], new_tokens: int) -> None:
        """Refuse prompts that do not fit, as in `require_room`."""
        for prompt in prompts:
            self.require_room(f"The prompt {prompt.name!r}", len(prompt.tokens), new_tokens)

    def prompts(self, texts: Iterable[str | tuple[str, str]]) -> list[Prompt]:
        """Prompts of plain texts, or of pairs of a text and its domain."""
        if self.tokenizer is None:
            raise InvalidRequest(f"{self.name!r} has no tokenizer for texts.")
        pairs = ((text, "") if isinstance(text, str) else text for text in texts)
        return [Prompt(tuple(self.tokenizer(text)["input_ids"]), domain) for text, domain in pairs]

    def strategy(
        self, named: str, preset: str = "best", options: Mapping[str, str] | None = None
    ) -> LayerSelector:
        """A strategy for this model, by its registered name or a calibrated folder."""
        found = strategy_from(named, self.shape, preset, options, self.facts)
        strict = self.executor.strict
        return found.with_models(loads_second(self.executor, self.tokenizer, strict))

    def ready_strategy(
        self, named: str, preset: str = "best", options: Mapping[str, str] | None = None
    ) -> LayerSelector:
        """The same; an error now, not at the first token, if it cannot start."""
        found = self.strategy(named, preset, options)
        found.planner_for(self.shape)
        return found

    def speculator(self, strategy: LayerSelector) -> SelfSpeculator:
        """Generates with a strategy; prices are only measured if the strategy needs them."""
        return SelfSpeculator(
            self.model,
            strategy,
            tokenizer=self.tokenizer,
            costs=self.costs if strategy.needs.prices else self.given_costs,
            executor=self.executor,
        )
