"""The target, i.e. the full model, which alone decides what is emitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from specframe.core.draft import NOTHING, tree_step
from specframe.core.head import HeadRunner
from specframe.core.sampling import Law
from specframe.core.states import StateWindow
from specframe.core.verify import verify_greedy, verify_sampled
from specframe.errors import NonFiniteLogits
from specframe.executors.cache import CursorCache
from specframe.executors.executor import LAST_ROW, Executor
from specframe.executors.filling import fill_cache
from specframe.types import Draft, Verdict

__all__ = ["Target"]


class Target:
    """Runs all sublayers over one sequence and decides its tokens."""

    def __init__(
        self, executor: Executor, cache: CursorCache, law: Law, tokens: Sequence[int]
    ) -> None:
        self._executor, self._cache, self._law = executor, cache, law
        self._tokens = tokens  # prompt and emitted tokens; the last one is the root of each draft

    def prefill(self, window: StateWindow, head: HeadRunner | None = None) -> int:
        """Commit the part of the prompt that the cache lacks and choose the first token."""
        taps = window.prompt_depths | ({head.depth} if head is not None else set())
        rest = self._tokens[self._cache.length :]
        for _, passed in fill_cache(self._executor, self._cache, rest, taps=taps, rows=LAST_ROW):
            window.push_prompt(passed.taps)
            if head is not None:
                head.push(passed.taps[head.depth])
        assert passed.logits is not None
        return self._decide(NOTHING, passed.logits).bonus

    def judge(
        self, draft: Draft, prefix: int, capture: frozenset[int]
    ) -> tuple[Verdict, Mapping[int, Tensor]]:
        """The verdict on a draft, and the states of its rows at the captured depths.

        Sublayers of the draft's prefix computed the target's own values and are not run again.
        """
        hidden = draft.states.get(prefix)
        if draft.is_chain and not self._law.sampled and not self._law.processors:
            found = self._executor.decide(
                [self._tokens[-1], *draft.tokens],
                self._cache,
                start=0 if hidden is None else prefix,
                hidden=hidden,
                taps=capture,
            )
            if found is not None:
                _refuse_unless(found.finite)
                return verify_greedy(draft, found.tokens), found.taps
        passed = self._executor.walk(
            tree_step(draft, self._tokens[-1], self._cache),
            self._cache,
            start=0 if hidden is None else prefix,
            hidden=hidden,
            taps=capture,
        )
        assert passed.logits is not None
        return self._decide(draft, passed.logits), passed.taps

    def _decide(self, draft: Draft, logits: Tensor) -> Verdict:
        """Accepted nodes and bonus token, from the target's logits [1, 1 + nodes, V] alone."""
        logits = logits.squeeze(0)
        paths = _paths(draft) if self._law.processors else ()
        if self._law.choose is None:
            scores = self._law.scores(logits, self._tokens, paths)
            tops = scores.argmax(1)  # of a row with NaN, its place
            best = logits.gather(1, tops[:, None]).squeeze(1)
            if self._law.processors:  # which may have hidden what is wrong
                best = logits.amax(1)
            decided, whole = torch.stack([tops, best.isfinite().long()]).tolist()  # one read
            _refuse_unless(all(whole))
            return verify_greedy(draft, decided)
        _refuse_unless(bool(logits.amax(1).isfinite().all()))
        distributions = self._law.probabilities(logits, self._tokens, paths)
        return verify_sampled(draft, distributions, self._law.choose)


def _refuse_unless(finite: bool) -> None:
    if not finite:
        raise NonFiniteLogits(
            "The model's own logits contain NaN or infinity, so no token can be chosen. "
            "Check the weights, or run the model in bfloat16 or float32."
        )


def _paths(draft: Draft) -> list[list[int]]:
    """Drafted tokens from the root to each verification row."""
    rows = range(-1, len(draft.tokens))
    return [[draft.tokens[node] for node in draft.path(row)] for row in rows]
