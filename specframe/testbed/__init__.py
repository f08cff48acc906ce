"""The testbed: a small, really trained model with its corpus, prompts and scorer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specframe.testbed.evaluation.scoring import score
    from specframe.testbed.model.shipped import load, load_core, load_tiny
    from specframe.testbed.prompts import Question, suite

__all__ = ["Question", "load", "load_core", "load_tiny", "score", "suite"]

_HOMES = {
    "Question": "prompts",
    "load": "model.shipped",
    "load_core": "model.shipped",
    "load_tiny": "model.shipped",
    "score": "evaluation.scoring",
    "suite": "prompts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
