"""Turns a plan into a draft, in the only loop that runs the model with skipped sublayers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, isnan

import torch
from torch import Tensor

from specframe.core.exits import ExitingRows
from specframe.core.head import HeadRunner
from specframe.core.sampling import Law
from specframe.core.verify import without
from specframe.costs.model import chance_of_acceptance, continues
from specframe.executors.cache import CursorCache
from specframe.executors.executor import LAST_ROW, NO_ROWS, Chain, Executor, chain_step
from specframe.tensors import top_probability
from specframe.types import LONGEST_DRAFT, Draft, DraftPlan, Step

__all__ = ["NOTHING", "Drafter", "tree_step"]

NOTHING = Draft((), (), ())


class Drafter:
    """Writes one draft, a chain or a tree, into the scratch columns of the cache.

    In a tree, the first candidate drawn at each depth continues the spine and the others are
    leaves. Spine nodes come first in the draft, so that they use the same columns as a chain.
    """

    def __init__(
        self,
        executor: Executor,
        cache: CursorCache,
        law: Law,
        tokens: Sequence[int],
        ends: frozenset[int] = frozenset(),
        head: HeadRunner | None = None,
        reused: bool = True,
    ) -> None:
        """`reused`: whether verification starts from what the plan's prefix computed."""
        self._executor, self._cache, self._law = executor, cache, law
        self._tokens = tokens  # prompt and emitted tokens; the last one is the root of the draft
        self._ends, self._head, self._reused = ends, head, reused

    def run(self, plan: DraftPlan, capture: frozenset[int] = frozenset()) -> Draft:
        """Copy the plan's tokens, then draft until the stop rule applies or the scratch is full.

        The residual stream after the plan's prefix, and at captured depths before it, is kept for
        every node: up to there, the draft computes the target's own values.
        """
        if plan.stop.max_tokens == 0:
            return NOTHING
        prefix = plan.skips.prefix
        keep = frozenset(d for d in capture | {prefix} if d <= prefix and self._reused)
        copied = self._copied(plan)
        spine = list(copied)
        leaves: list[tuple[int, int]] = []  # (parent, token)
        confidences = [1.0] * len(copied)
        distributions: dict[int, Tensor] = {}
        states: list[dict[int, Tensor]] = []
        walked, reach = 0, 1.0
        widest = plan.tree.widest if plan.tree is not None else 1
        going = len(spine) < plan.stop.max_tokens and not self._ends.intersection(spine)
        going = going and len(spine) + widest <= LONGEST_DRAFT
        chain = self._chain(plan, copied, keep) if going else None
        exiting = None if plan.exits is None else ExitingRows(self._executor, self._cache, plan)
        while going:
            parent = len(spine) - 1
            if chain is not None:
                top = chain.next()
                if not top.finite:
                    break  # the draft ends here; the target decides the next token
                drawn, confidence = [top.token], top.confidence
            else:
                kept: dict[int, Tensor] = {}
                if exiting is not None:
                    logits = exiting.step([self._tokens[-1], *spine])
                else:
                    logits, kept = self._step(plan, spine, walked, keep)
                found = self._draw(plan, logits, spine)
                if found is None:
                    break
                states.append(kept)
                drawn, confidence, distribution = found
                confidence = confidence if exiting is None else exiting.confidence
                if distribution is not None:
                    distributions[parent] = distribution
            walked = 1 + len(spine)
            spine.append(drawn[0])
            confidences.append(confidence)
            leaves += [(parent, token) for token in drawn[1:]]
            if plan.stop.gain is not None:
                reach *= chance_of_acceptance(plan.stop.gain, confidence)
            going = drawn[0] not in self._ends and continues(
                plan.stop, len(spine), confidence, reach
            )
            going = going and len(spine) + len(leaves) + widest <= LONGEST_DRAFT
        draft = Draft(
            tokens=(*spine, *(token for _, token in leaves)),
            parents=(*range(-1, len(spine) - 1), *(parent for parent, _ in leaves)),
            confidences=tuple(confidences),
            laws=distributions if self._law.sampled else None,
            copied=len(copied),
        )
        if exiting is not None:
            return self._finish_exits(plan, draft, exiting, keep)
        if chain is not None:
            states = [chain.states(walked)]
        return self._finish(plan, draft, states, walked, keep)

    def _finish_exits(
        self, plan: DraftPlan, draft: Draft, exiting: ExitingRows, keep: frozenset[int]
    ) -> Draft:
        """Keep the stream at the plan's exit; if others are needed, verification runs in full."""
        if not exiting.begun or keep != {2 * plan.skips.layers - len(plan.skips)}:
            return draft
        stream = exiting.finish(draft.tokens)
        return replace(draft, states={plan.skips.prefix: stream})

    def _chain(self, plan: DraftPlan, copied: Sequence[int], keep: frozenset[int]) -> Chain | None:
        """A chain that drafts without the host between steps, or None."""
        if self._law.sampled or self._law.processors or plan.exits is not None:
            return None
        chain = self._executor.chain(self._cache, plan, keep)
        if chain is not None:
            chain.begin([self._tokens[-1], *copied])
        return chain

    def _copied(self, plan: DraftPlan) -> tuple[int, ...]:
        """The plan's copied tokens, up to its length limit and its first end token."""
        copied = plan.copied[: min(plan.stop.max_tokens, LONGEST_DRAFT)]
        for count, token in enumerate(copied, start=1):
            if token in self._ends:
                return copied[:count]
        return copied

    def _step(
        self, plan: DraftPlan, spine: Sequence[int], walked: int, keep: frozenset[int]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Walk the remaining rows with the skip set: logits [V] of the last one, kept states."""
        rows = [self._tokens[-1], *spine][walked:]
        step = chain_step(rows, self._cache.length + walked, self._cache.data.device)
        if plan.headed:
            return self._headed_step(plan, step, keep)
        passed = self._executor.walk(step, self._cache, plan.skips, taps=keep, rows=LAST_ROW)
        assert passed.logits is not None
        return passed.logits.flatten(), dict(passed.taps)

    def _headed_step(
        self, plan: DraftPlan, step: Step, keep: frozenset[int]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Like `_step`, with the sublayers before the draft head and then the head."""
        assert self._head is not None
        trunk = self._executor.walk(
            step, self._cache, stop=self._head.depth, taps=keep, rows=NO_ROWS
        )
        assert step.slot is not None
        stream = self._head.run(trunk.hidden, step.slot)
        logits = self._executor.logits(stream[:, -1:], plan.skips)
        return logits.flatten(), dict(trunk.taps)

    def _draw(
        self, plan: DraftPlan, logits: Tensor, spine: Sequence[int]
    ) -> tuple[list[int], float, Tensor | None] | None:
        """Candidates in drawing order, the first one's confidence, their distribution.

        None if the logits are not finite or no token is possible. Reading a value waits for the
        device, so few are read.
        """
        if self._law.sampled:
            return self._draw_sampled(plan, logits, spine)
        scores = self._law.scores(logits[None], self._tokens, [spine]).flatten()
        top, confidence, finite = _read_top(scores, plan)
        if not finite:
            return None
        width = min(_width(plan, len(spine), confidence), scores.shape[0])
        if width == 1:
            return [top], confidence, None
        others = [token for token in scores.topk(width).indices.tolist() if token != top]
        return [top, *others[: width - 1]], confidence, None

    def _draw_sampled(
        self, plan: DraftPlan, logits: Tensor, spine: Sequence[int]
    ) -> tuple[list[int], float, Tensor] | None:
        q = self._law.probabilities(logits[None], self._tokens, [spine]).flatten()
        flat = _flattened(q, plan.stop.temperature)
        best = float(flat.max())
        if isnan(best):  # of logits that are not finite, or where processors exclude every token
            return None
        width = _width(plan, len(spine), best)
        if width > 1:
            width = min(width, int((q > 0).sum()))
        drawn = _draw_without_replacement(self._law, q, width)
        return drawn, float(flat[drawn[0]]), q

    def _finish(
        self,
        plan: DraftPlan,
        draft: Draft,
        states: list[dict[int, Tensor]],
        walked: int,
        keep: frozenset[int],
    ) -> Draft:
        """Walk the prefix for the rows that no draft step walked (last spine node, leaves).

        A draft of which no row was walked, such as a fully copied one, would gain nothing.
        """
        if not self._reused or plan.skips.prefix == 0 or not walked or not draft.tokens:
            return draft
        rest = range(walked, 1 + len(draft.tokens))  # verification rows still missing
        if len(rest):
            step = tree_step(draft, self._tokens[-1], self._cache, rest)
            passed = self._executor.walk(
                step, self._cache, stop=plan.skips.prefix, taps=keep, rows=NO_ROWS
            )
            states = [*states, dict(passed.taps)]
        joined = {depth: torch.cat([state[depth] for state in states], dim=1) for depth in keep}
        return replace(draft, states=joined)


def tree_step(draft: Draft, root: int, cache: CursorCache, rows: range | None = None) -> Step:
    """The step over verification rows: row 0 is the last emitted token, row i node i - 1.

    The rows use consecutive scratch columns. A chain needs no mask; in a tree, a row attends only
    to the rows on its path.
    """
    device = cache.data.device
    every = range(1 + len(draft.tokens))
    rows = every if rows is None else rows
    slot = cache.length + rows.start
    tokens = [root if row == 0 else draft.tokens[row - 1] for row in rows]
    if draft.is_chain:
        return chain_step(tokens, slot, device)
    paths = [[0, *(node + 1 for node in draft.path(row - 1))] for row in rows]
    mask = torch.zeros(len(rows), rows.stop, dtype=torch.bool)
    for i, path in enumerate(paths):
        mask[i, path] = True
    positions = torch.tensor([len(path) - 1 + cache.length for path in paths], device=device)
    return Step(torch.tensor([tokens], device=device), positions, slot, slot, mask.to(device))


def _width(plan: DraftPlan, depth: int, confidence: float) -> int:
    if plan.tree is None:
        return 1
    for floor, width in plan.tree.by_confidence:
        if confidence > floor:
            return width
    return plan.tree.widths[min(depth, len(plan.tree.widths) - 1)]


def _uses_confidence(plan: DraftPlan) -> bool:
    by_confidence = plan.tree is not None and bool(plan.tree.by_confidence)
    return plan.stop.confidence > 0.0 or plan.stop.gain is not None or by_confidence


def _read_top(scores: Tensor, plan: DraftPlan) -> tuple[int, float, bool]:
    """The top token, its probability (nan if not used), and whether the scores are finite."""
    top, confident = scores.argmax(), _uses_confidence(plan)
    value = scores.gather(0, top[None])[0]  # NaN or infinite if any score is
    if confident:
        value = top_probability(scores, plan.stop.temperature)
    token, found = torch.stack([top.double(), value.double()]).tolist()
    return int(token), found if confident else float("nan"), isfinite(found)


def _flattened(q: Tensor, temperature: float) -> Tensor:
    """The distribution that a plan's rules use; tokens are always drawn from q itself."""
    if temperature == 1.0:
        return q
    flat = q ** (1.0 / temperature)
    return flat / flat.sum()


def _draw_without_replacement(law: Law, q: Tensor, width: int) -> list[int]:
    assert law.choose is not None
    drawn: list[int] = []
    for _ in range(width - 1):
        drawn.append(law.choose(q))
        q = without(q, drawn[-1])
    return [*drawn, law.choose(q)]
