"""Strategies that play what they are given and note what they are told."""

from dataclasses import dataclass, field

from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.types import DraftPlan


@dataclass
class InTurn(LayerSelector):
    """Another plan each round."""

    plans: tuple[DraftPlan, ...]

    def select(self, context):
        return self.plans[context.round % len(self.plans)]

    def spawn(self):
        return self


@dataclass
class Listening(LayerSelector):
    """One plan; notes what it is told."""

    plan: DraftPlan
    needs: Needs = field(default_factory=Needs)
    heard: list = field(default_factory=list)
    traits = Traits("listens")

    def select(self, context):
        return self.plan

    def observe(self, outcome):
        self.heard.append(outcome)

    def spawn(self):
        return self
