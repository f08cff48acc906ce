"""Rounds of strategies at the prices of large models, on one model's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.prediction.priced_rounds import PricedRound, priced_rounds
from specframe.studies.framework.study import Work
from specframe.studies.worlds.domain_strategies import DomainSettings, DomainStrategies
from specframe.studies.worlds.priced_rig import PricedRig
from specframe.studies.worlds.prices import spread_over

__all__ = ["AtLargePrices"]


class AtLargePrices(DomainStrategies):
    """Strategies calibrated at the prices of one large model, which is called `profile`."""

    def __init__(
        self, settings: DomainSettings, work: Work, rig: PricedRig, costs: CostModel
    ) -> None:
        super().__init__(settings, work)
        self._given, self._costs = rig, costs

    @cached_property
    def rig(self) -> PricedRig:
        """The small model at the large one's prices."""
        return self._given.priced(spread_over(self._costs, self._given.shape.layers))

    def rounds(self, name: str, costs: CostModel) -> Sequence[PricedRound]:
        """Of a strategy after each prompt, at other prices of the same model."""
        rig = self.rig.priced(spread_over(costs, self.rig.shape.layers))
        new, strategy = self._settings.new_tokens, self._strategy(name)
        every = [priced_rounds(rig, strategy, prompt, new) for prompt in self.test_prompts()]
        return [done for rounds in every for done in rounds]

    def _strategy(self, name: str) -> LayerSelector:
        calibrated = strategy_class(name).traits.calibrated
        return self.calibrated(name) if calibrated else self.rig.strategy(name)
