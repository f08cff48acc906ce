"""KnapSpec as it pays: preset `best` of `knapspec`, whose equations (`paper`) it refers to.

Differs from the paper:
- it plans right after the prompt, from the prompt's last rows, not after six rounds of drafting
  with the full model; nothing is computed of a planning that cannot pay for itself within the
  remaining budget;
- a few paths are kept, spread over the skipped weights: the program then takes about as long as
  some tokens, not tens of them;
- weights are real seconds, and `most_skipped` of them may be skipped, all if it is 1; how many
  layers are protected at either end depends on the number of layers, none in a very shallow model;
- reference rows see the target's keys before themselves, as the first token of a draft does;
- alpha is first the overlap of the two distributions, made to fall with the skipped weight, and
  then moves to the acceptance observed, each counted in tokens;
- rounds are priced by the cost model: head, verification of several rows, reuse of the prefix;
- the best draft length is used: a draft ends where one more step does not pay, and at twice that
  length at the latest;
- autoregressive decoding is among the candidates;
- a finished table is priced again as acceptance is observed and the context grows; the program runs
  again when the speed that it promised has drifted, or attention's share of the price has.
"""

from __future__ import annotations

from specframe.strategies.shared.planners.chain_planner import ChainPlanner
from specframe.strategies.shared.planners.chain_search import ChainConfig
from specframe.strategies.shared.streams.chain_dp import stretches_between

__all__ = ["OnlinePlanner"]


class OnlinePlanner(ChainPlanner):
    """The program over single sublayers; over whole layers where the two read one stream."""

    def __init__(self, config: ChainConfig) -> None:
        super().__init__(config, stretches_between)
