"""A model with its tokenizer, at prices that are the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from specframe.calibration.lab import model_facts
from specframe.costs.model import CostModel
from specframe.doors.loading import load
from specframe.errors import InvalidRequest
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor
from specframe.prompts.suites import BenchPrompt, prompts_from
from specframe.studies.worlds.prices import kept_prices, spread_over

__all__ = ["PricedModel", "priced_model"]


@dataclass(frozen=True, slots=True)
class PricedModel:
    """What a study plays with; `costs` are spread over the model's own number of layers."""

    model: Any
    tokenizer: Any
    executor: Executor
    costs: CostModel

    @property
    def facts(self) -> dict[str, str]:
        """Of the model, for labs."""
        return model_facts(self.model, self.executor)

    def prompts(self, per_domain: int, **more: Any) -> list[BenchPrompt]:
        """The testbed's, of every domain unless `domains` names some."""
        return prompts_from("testbed", self.tokenizer, per_domain=per_domain, **more)


def priced_model(name: str, profile: str = "") -> PricedModel:
    """Load a model; `profile` as in `kept_prices`."""
    model, tokenizer = load(name)
    if tokenizer is None:
        raise InvalidRequest(
            f"{name!r} has no tokenizer to read prompts with. Name a model that has one."
        )
    executor = load_executor(model)
    costs = spread_over(kept_prices(profile), executor.shape.layers)
    return PricedModel(model, tokenizer, executor, costs)
