"""Contexts of rounds that no model runs."""

from specframe.contract.planner import Context
from specframe.costs.model import CostModel


class NoWalks:
    """A probe for planners that must not use it."""

    committed = 0

    def walk(self, *args, **how):
        raise AssertionError("the planner walked")

    def logits(self, hidden):
        raise AssertionError("the planner asked for logits")


def plain_context(shape, tokens=(1, 2, 3), **given):
    """A round without states, at even prices unless others are given."""
    defaults = {
        "prompt_length": len(tokens),
        "budget": 50,
        "round": 0,
        "costs": CostModel.even(shape.layers),
        "probe": NoWalks(),
    }
    return Context(shape, list(tokens), **(defaults | given))
