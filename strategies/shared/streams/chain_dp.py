"""A dynamic program over hidden states: which stretches of the model to skip.

The program of KnapSpec (https://arxiv.org/abs/2602.20217) and of CLaSp
(https://arxiv.org/abs/2505.24196). It walks the model once. A path is one way to run or skip the
stretches so far; among paths that skip the same weight only the one whose stream points most like
the target's is kept. All kept paths run through a stretch in one call, side by side:

    (1) score(path, i) = sum over reference rows r of cos(state_r, X_i,r)
    (2) a path is kept while score / R >= similarity
    (3) best[i][j] = the better of run(best[i-1][j]) and skip(best[i-1][j - w])

Only two rows of the table exist at any time, since each path carries its skip set along. It is a
heuristic: how a path continues depends on its whole state, of which (1) is only one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from specframe.contract.options import require_known
from specframe.contract.planner import Probe
from specframe.errors import InvalidConfig
from specframe.strategies.shared.streams.stream_change import read_one_stream
from specframe.tensors import at_least_float32
from specframe.types import Step

Sight = Literal["draft", "target"]
ROUNDING = 1e-9  # sums of weights may exceed the budget by this share
ATTENTION_ROWS = 128  # rows side by side at most: each brings a column that the others cannot see
BLOCK_ROWS = 16  # rows are run in multiples of about so many: kernels are made for each number


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sublayers start..stop-1, run or skipped as one."""

    start: int
    stop: int
    weight: float
    may_skip: bool = True

    @property
    def bits(self) -> int:
        """The stretch as a skip set's bits."""
        return (1 << self.stop) - (1 << self.start)


@dataclass(frozen=True, slots=True)
class ChainRules:
    """How paths compete.

    Paths whose skipped weights fall into the same class of width `unit` compete; whole weights
    with unit 1 are the papers' table. `sight` says whose keys the reference rows see before
    themselves: "draft" is the branch's own, as deep in a draft; "target" is the cache's, as at a
    draft's first token.
    """

    budget: float  # weight that may be skipped in all
    unit: float = 1.0
    similarity: float = -1.0  # least mean cosine
    ties_skip: bool = False
    sight: Sight = "draft"
    widest: int = 0  # paths that are kept, spread over the skipped weights; 0: one a class

    def __post_init__(self) -> None:
        if self.unit <= 0:
            raise InvalidConfig.of("ChainRules", "unit", "above 0", self.unit)
        require_known(self, sight=("draft", "target"))

    def key(self, weight: float) -> int:
        """The class of a skipped weight."""
        return int(weight / self.unit * (1 + ROUNDING) + ROUNDING)


@dataclass(frozen=True, slots=True)
class Chains:
    """The paths that reached the end, by skipped weight."""

    weights: tuple[float, ...]
    bits: tuple[int, ...]
    similarities: tuple[float, ...]  # mean cosine with the target's last state
    states: Tensor  # [paths, R, H]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A path of the next row and where its state lies among those run and those carried over."""

    score: float
    place: int
    weight: float
    bits: int


def best_chains(
    probe: Probe,
    references: Mapping[int, Tensor],  # depth -> [R, H], the target's states of the last R rows
    stretches: Sequence[Stretch],
    rules: ChainRules,
) -> Chains:
    """The best path for each skipped weight, from the depth of the first stretch on."""
    start = references[stretches[0].start]
    rows = start.shape[0]
    walker = _Walker(probe, rows, rules.sight, start.device)
    live = [_Entry(float(rows), 0, 0.0, 0)]
    states = start[None]  # [m, R, H]
    for stretch in stretches:
        reference = references[stretch.stop]
        run = _run(walker, stretch, states, live, reference)
        pool = torch.cat([run, states])
        scores = _scores(pool, reference)
        live = _survivors(live, stretch, scores, rules, rows)
        if not live:
            return Chains((), (), (), start[:0, None].expand(0, rows, start.shape[-1]))
        states = pool[[entry.place for entry in live]]
    return Chains(
        tuple(entry.weight for entry in live),
        tuple(entry.bits for entry in live),
        tuple(entry.score / rows for entry in live),
        states,
    )


def stretches_between(
    references: Mapping[int, Tensor], weights: Sequence[float], protected: int
) -> list[Stretch]:
    """Single sublayers, from those `protected` at the front on; as many are run at the end.

    Attention and MLP of a parallel layer both read the layer's input, so there is no stream
    between them: such layers are run or skipped whole.
    """
    size = len(weights)
    width = 2 if read_one_stream(references, size) else 1
    return [
        Stretch(b, b + width, sum(weights[b : b + width]), may_skip=b < size - protected)
        for b in range(protected, size, width)
    ]


def branches_by_stretch(
    stretches: Sequence[Stretch], rules: ChainRules, rows: int = BLOCK_ROWS
) -> list[int]:
    """How many branches of so many rows each stretch runs at most: the price before it is paid."""
    keys: dict[int, float] = {0: 0.0}
    counts = []
    for stretch in stretches:
        branches = len(keys) - 1  # the branch that skips nothing is the target itself
        counts.append(branches + -branches % _block(rows))
        if stretch.may_skip:
            for weight in [weight + stretch.weight for weight in keys.values()]:
                if weight <= rules.budget * (1 + ROUNDING):
                    keys.setdefault(rules.key(weight), weight)
            if rules.widest:  # which of them are kept depends on their scores
                keys = dict(sorted(keys.items())[: rules.widest])
    return counts


def _run(
    walker: _Walker, stretch: Stretch, states: Tensor, live: Sequence[_Entry], reference: Tensor
) -> Tensor:
    """States after the stretch. A branch that has skipped nothing is the target: nothing to run."""
    branching = [i for i, entry in enumerate(live) if entry.bits]
    if not branching:
        return reference[None]
    if len(branching) == len(live):
        return walker.run(stretch, states)
    run = walker.run(stretch, states[branching])
    return torch.cat([reference[None], run])  # the path of weight 0 comes first


def _scores(states: Tensor, reference: Tensor) -> list[float]:
    """Equation (1)."""
    exact = at_least_float32(states)
    cosines = F.cosine_similarity(exact, reference.to(exact.dtype)[None], dim=-1)
    scores: list[float] = cosines.sum(-1).tolist()
    return scores


def _survivors(
    live: Sequence[_Entry], stretch: Stretch, scores: Sequence[float], rules: ChainRules, rows: int
) -> list[_Entry]:
    """Equations (2) and (3), ascending in weight."""
    best: dict[int, _Entry] = {}
    for entry in _successors(live, stretch, scores, rules):
        if entry.score < rules.similarity * rows:
            continue
        key = rules.key(entry.weight)
        may_tie = rules.ties_skip and entry.place >= len(live)
        rival = best.get(key)
        if rival is None or entry.score > rival.score or (may_tie and entry.score == rival.score):
            best[key] = entry
    return _widest([best[key] for key in sorted(best)], rules.widest, rows)


def _widest(live: list[_Entry], most: int, rows: int) -> list[_Entry]:
    """At most so many: of neighbours in weight the one that loses least for what it skips."""
    if not most or len(live) <= most:
        return live
    bounds = [1 + round(i * (len(live) - 1) / (most - 1)) for i in range(most)]
    groups = [live[low:high] for low, high in pairwise(bounds)]
    return [live[0], *(min(g, key=lambda e: (rows - e.score) / e.weight) for g in groups)]


def _block(rows: int) -> int:
    """Branches of so many rows are run in multiples of this."""
    return max(BLOCK_ROWS // rows, 1)


def _successors(
    live: Sequence[_Entry], stretch: Stretch, scores: Sequence[float], rules: ChainRules
) -> Iterable[_Entry]:
    """First all that run the stretch, then all that skip it."""
    count = len(live)
    for i, entry in enumerate(live):
        yield _Entry(scores[i], i, entry.weight, entry.bits)
    if not stretch.may_skip:
        return
    for i, entry in enumerate(live):
        weight = entry.weight + stretch.weight
        if weight <= rules.budget * (1 + ROUNDING):
            yield _Entry(scores[count + i], count + i, weight, entry.bits | stretch.bits)


class _Walker:
    """Runs branches side by side, without writing to the cache."""

    def __init__(self, probe: Probe, rows: int, sight: Sight, device: torch.device) -> None:
        self._probe, self._rows, self._sight = probe, rows, sight
        self._first = probe.committed - rows  # position of the first reference row
        self._positions = torch.arange(self._first, probe.committed, device=device)
        self._steps: dict[int, Step] = {}

    def run(self, stretch: Stretch, states: Tensor) -> Tensor:
        """[m, R, H] -> [m, R, H] in one call, or in a few where attention would be too wide."""
        count = states.shape[0]
        full = torch.cat([states, states[:1].expand(-count % _block(self._rows), -1, -1)])
        if stretch.start % 2 and stretch.stop == stretch.start + 1:
            return self._together(stretch, full)[:count]
        most = max(ATTENTION_ROWS // self._rows, 1)
        parts = [self._together(stretch, part) for part in full.split(most)]
        return torch.cat(parts)[:count]

    def _together(self, stretch: Stretch, states: Tensor) -> Tensor:
        count = states.shape[0]
        passed = self._probe.walk(
            self._step(count),
            start=stretch.start,
            stop=stretch.stop,
            hidden=states.reshape(1, count * self._rows, -1),
        )
        return passed.hidden.reshape(states.shape)

    def _step(self, count: int) -> Step:
        if count not in self._steps:
            positions = self._positions.repeat(count)
            visible = self._first if self._sight == "draft" else self._probe.committed
            mask = _mask(count, self._rows, self._sight, positions.device)
            tokens = torch.zeros(1, len(positions), dtype=torch.long, device=positions.device)
            self._steps[count] = Step(tokens, positions, None, visible, mask)
        return self._steps[count]


def _mask(count: int, rows: int, sight: Sight, device: torch.device) -> Tensor:
    """Row r of a branch sees rows up to its own: the branch's, or the target's and then itself."""
    branches = torch.eye(count, dtype=torch.bool, device=device)
    earlier = torch.ones(rows, rows, dtype=torch.bool, device=device).tril()
    if sight == "draft":
        return torch.kron(branches, earlier)
    itself = torch.eye(count * rows, dtype=torch.bool, device=device)
    return torch.cat([earlier.tril(-1).repeat(count, 1), itself], dim=1)
