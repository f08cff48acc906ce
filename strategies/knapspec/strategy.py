"""KnapSpec: which sublayers to skip, as a knapsack solved while generating.

Cha, Kim, Han, Yang, Han 2026, https://arxiv.org/abs/2602.20217. Preset `faithful` is `paper`,
preset `best` is `chain_search` over single sublayers, or over whole layers where attention and
MLP read one stream.

Differs from the paper, preset `best`, whose equations are those of `paper`:
- it plans right after the prompt, from the prompt's last rows, not after six rounds of drafting
  with the full model; a planning that cannot pay for itself within the remaining budget is not
  computed;
- a few paths are kept, spread over the skipped weights: the program then takes as long as a few
  tokens, not tens of them;
- weights are real seconds, and `most_skipped` of them may be skipped, all if it is 1; how many
  layers are protected at either end depends on the number of layers, none in a very shallow model;
- reference rows see the target's keys before themselves, as the first token of a draft does;
- alpha is first the overlap of the two distributions, made to fall with the skipped weight, and
  then moves to the acceptance observed, each counted in tokens;
- rounds are priced by the cost model: head, verification of several rows, reuse of the prefix;
- the best draft length is used: a draft ends where one more step does not pay, and at twice that
  length at the latest, or at four times where nothing is skipped;
- sublayers may also run on low-bit weights: one pass on the last rows with each precision shows how
  often such drafts are accepted, and each candidate competes in each precision as well;
- autoregressive decoding is among the candidates;
- a finished table is priced again as acceptance is observed and the context grows; the program runs
  again when the speed that it promised has drifted, or attention's share of the price has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from specframe.contract.paying import Prospect
from specframe.contract.planner import Planner
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.strategies.knapspec.paper import PaperConfig, PaperPlanner
from specframe.strategies.shared.planners.chain_search import ChainConfig, ChainSearch
from specframe.strategies.shared.planners.replanning import Replanner, program_prospect
from specframe.strategies.shared.streams.chain_dp import stretches_between
from specframe.types import ModelShape

__all__ = ["KnapSpec"]


@dataclass(frozen=True)
class KnapSpec(LayerSelector):
    """Sublayers to skip from a knapsack over their measured latency, solved while generating."""

    config: ChainConfig | PaperConfig = field(default_factory=ChainConfig)

    traits = Traits(
        "knapsack over measured latency and similarity, solved while generating",
        adaptive=True,
        context_aware=True,
        precision_aware=True,
        official="yes",
        search="chain dynamic program and tokens-per-time grid",
    )
    presets: ClassVar[Mapping[str, ChainConfig | PaperConfig]] = {
        "best": ChainConfig(),
        "faithful": PaperConfig(),
    }

    def start(self, shape: ModelShape) -> Planner:
        if isinstance(self.config, PaperConfig):
            return PaperPlanner(self.config)
        program = ChainSearch(self.config, stretches_between, low_bit=True)
        return Replanner(self.config, program)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of any sublayers; the paper always drafts."""
        if isinstance(self.config, PaperConfig):
            return None
        program = ChainSearch(self.config, stretches_between, low_bit=True)
        return program_prospect(self.config.longest, program, low_bit=True)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """States of all depths: of the prompt's last rows (best), of committed tokens."""
        if isinstance(self.config, PaperConfig):
            return Needs(committed=Needs.every, window=self.config.window)
        rows = self.config.rows
        return Needs(prompt=Needs.every, prompt_rows=rows, committed=Needs.every, window=rows)
