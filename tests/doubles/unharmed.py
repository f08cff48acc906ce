"""A tiny model, and everything about it that a generation must not change."""

import torch

import specframe
from doubles.tiny import Tiny
from specframe.costs.model import CostModel
from specframe.strategies.fixed import FixedSkips
from specframe.types import SkipSet, StopRule

TINY = Tiny(layers=3, positions=64)
SKIPS = SkipSet.from_sublayers(3, [3, 4])
STRATEGY = FixedSkips(SKIPS, StopRule(4))
PROMPT = [5, 1, 17]


class Photograph:
    """Everything about a model that a generation must not change."""

    def __init__(self, model):
        self.values = {name: value.clone() for name, value in model.state_dict().items()}
        self.requires = {name: value.requires_grad for name, value in model.named_parameters()}
        self.modules = {name: type(module) for name, module in model.named_modules()}
        self.training = {name: module.training for name, module in model.named_modules()}
        self.config = model.config.to_dict()
        self.generation = model.generation_config.to_dict()
        self.attributes = sorted(vars(model))

    @staticmethod
    def hooks(model):
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        return [getattr(module, kind) for module in model.modules() for kind in kinds]

    def assert_same(self, model):
        values = model.state_dict()
        assert list(values) == list(self.values)
        for name, value in self.values.items():
            assert torch.equal(values[name], value), name
        now = Photograph(model)
        for name in ("requires", "modules", "training", "config", "generation", "attributes"):
            assert getattr(now, name) == getattr(self, name), name
        assert not any(self.hooks(model))


def speculator(model, strategy=STRATEGY):
    return specframe.SelfSpeculator(model, strategy, costs=CostModel.even(TINY.layers))
