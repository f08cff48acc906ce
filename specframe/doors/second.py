"""Loads a second model that drafts; refuses one that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from specframe.contract.naming import is_folder, require_strategy
from specframe.contract.registry import strategy_class
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.costs.measure import measured_profile
from specframe.doors.loading import load, require_name
from specframe.errors import InvalidConfig, UnsupportedModel
from specframe.executors.executor import Executor
from specframe.executors.load import load_executor

__all__ = ["loads_second", "require_with_models"]


def require_with_models(named: str, preset: str, options: Mapping[str, str]) -> None:
    """Like `require_strategy`; also refuses a wrong name of a second model."""
    require_strategy(named, preset, options)
    if is_folder(named) or not hasattr(strategy_class(named).presets.get(preset), "model"):
        return
    model = options.get("model", "")
    if not model:
        wanted = "the name of a model, such as model=testbed-core"
        raise InvalidConfig.of(named, "model", wanted, model)
    require_name(model)


def loads_second(executor: Executor, tokenizer: Any, strict: bool = False) -> LoadSecond:
    """A function that loads a draft model by name, for this executor and tokenizer."""
    return partial(_loaded, executor, tokenizer, strict)


def _loaded(first: Executor, tokenizer: Any, strict: bool, name: str) -> SecondModel:
    loaded = load(name)
    _refuse_other_tokenizer(tokenizer, loaded.tokenizer, name)
    executor = load_executor(loaded.model.to(first.device), strict=strict)
    found, wanted = executor.shape.vocabulary, first.shape.vocabulary
    if found != wanted:
        raise UnsupportedModel(
            f"{name!r} cannot draft for this model: its vocabulary has {found} entries, and this "
            f"model's has {wanted}. Name a model with the same vocabulary."
        )
    return SecondModel(executor, measured_profile(loaded.model, executor).costs)


def _refuse_other_tokenizer(first: Any, second: Any, name: str) -> None:
    """If one has no tokenizer, only the sizes of the vocabularies can be compared."""
    if first is None or second is None:
        return
    own, other = first.get_vocab(), second.get_vocab()
    differing = len(own.items() ^ other.items())
    if differing:
        raise UnsupportedModel(
            f"{name!r} cannot draft for this model: {differing} entries of their tokenizers' "
            f"vocabularies differ. Name a model with the same tokenizer."
        )
