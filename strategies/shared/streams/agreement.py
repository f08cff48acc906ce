"""How often drafts would be accepted: the head's answer to draft states against the target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specframe.contract.planner import Probe
from specframe.tensors import at_least_float32
from specframe.types import SkipSet, Step


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of each branch with the target over the same rows.

    `greedy` is the share of rows with the same top token, its steps are 1 / rows; `overlap` is the
    mean of sum min(p, q), the chance that a drawn token is accepted.
    """

    greedy: tuple[float, ...]
    overlap: tuple[float, ...]
    rows: int


def compare_heads(probe: Probe, drafts: Tensor, target: Tensor) -> Agreement:
    """Final states [branches, R, H] of drafts and [R, H] of the target through norm and head."""
    branches, rows, hidden = drafts.shape
    joined = torch.cat([target, drafts.reshape(branches * rows, hidden)])
    logits = probe.logits(joined[None])[0].view(1 + branches, rows, -1)
    return _agreement(logits[1:], logits[:1])


class RowJudge:
    """How often the first token drafted with a skip set would be accepted, a pass a set.

    The last R committed rows run the skipped model over the target's keys and values before them,
    as each would at the first step of a draft.
    """

    def __init__(self, probe: Probe, tokens: Sequence[int], target: Tensor) -> None:
        """`tokens` are those of the rows; `target` [R, H] are the target's last states of them."""
        rows, device = len(tokens), target.device
        first = probe.committed - rows
        earlier = torch.ones(rows, rows, dtype=torch.bool, device=device).tril(-1)
        itself = torch.eye(rows, dtype=torch.bool, device=device)
        self._step = Step(
            torch.tensor([list(tokens)], device=device),
            torch.arange(first, probe.committed, device=device),
            None,
            probe.committed,
            torch.cat([earlier, itself], dim=1),
        )
        self._probe, self._target = probe, probe.logits(target[None])

    @property
    def rows(self) -> int:
        return self._step.rows

    def agreement(self, skips: SkipSet) -> Agreement:
        """Of one skip set."""
        passed = self._probe.walk(self._step, skips, rows=slice(None))
        assert passed.logits is not None
        return _agreement(passed.logits, self._target)


def _agreement(drafts: Tensor, target: Tensor) -> Agreement:
    """From logits [branches, R, V] and [1, R, V]."""
    drafted, own = (torch.softmax(at_least_float32(logits), dim=-1) for logits in (drafts, target))
    shared = torch.minimum(drafted, own).sum(-1)
    return Agreement(
        greedy=tuple((drafts.argmax(-1) == target.argmax(-1)).double().mean(-1).tolist()),
        overlap=tuple(shared.double().mean(-1).tolist()),
        rows=drafts.shape[1],
    )
