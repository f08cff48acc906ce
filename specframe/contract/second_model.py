"""A second model that drafts for the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from specframe.costs.model import CostModel

__all__ = ["LoadSecond", "SecondModel"]


@dataclass(frozen=True, slots=True)
class SecondModel:
    """A loaded model with the tokenizer of the first, and its prices on this machine."""

    executor: Any  # a `specframe.executors.executor.Executor`
    costs: CostModel


LoadSecond = Callable[[str], SecondModel]  # by name; refuses a model with another tokenizer
