"""Hidden states kept for a strategy: the prompt's, and those of the last committed tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from specframe.contract.selector import Needs
from specframe.types import ModelShape

__all__ = ["StateWindow"]


class StateWindow:
    """Keeps only what `needs` names. All values are the target's own."""

    def __init__(self, needs: Needs, shape: ModelShape) -> None:
        self._needs = needs
        self.prompt_depths = Needs.depths(needs.prompt, shape)
        self.depths = Needs.depths(needs.committed, shape) if needs.window else frozenset()
        self.prompt: dict[int, Tensor] = {}  # depth -> [rows, H]
        self.committed: dict[int, Tensor] = {}  # depth -> [<= window, H]

    def push_prompt(self, taps: Mapping[int, Tensor]) -> None:
        """Add a block of the prompt."""
        for depth in self.prompt_depths & taps.keys():  # a draft head may need more depths
            states = taps[depth][0]
            self.prompt[depth] = _last(self.prompt.get(depth), states, self._needs.prompt_rows)

    def push(
        self, drafted: Mapping[int, Tensor], verified: Mapping[int, Tensor], rows: Sequence[int]
    ) -> None:
        """Add the committed rows of a round.

        Depths within the draft's prefix were computed while drafting, the others in verification.
        """
        index: Tensor | None = None  # one for all depths, since it is copied to the device
        for depth in self.depths:
            states = verified[depth] if depth in verified else drafted[depth]
            if index is None:
                index = torch.tensor(rows, device=states.device)
            kept = states[0].index_select(0, index)
            self.committed[depth] = _last(self.committed.get(depth), kept, self._needs.window)


def _last(before: Tensor | None, states: Tensor, count: int | None) -> Tensor:
    joined = states if before is None else torch.cat([before, states])
    # a slice would keep the whole block in memory
    return joined if count is None else joined[-count:].clone()
