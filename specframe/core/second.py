"""Drafts with a second model, whose cache follows the committed tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from specframe.core.draft import Drafter
from specframe.core.sampling import Law
from specframe.executors.executor import Executor
from specframe.executors.filling import fill_cache
from specframe.types import Draft, DraftPlan, SkipSet

__all__ = ["SecondDrafter"]

ALONG = 4  # most committed tokens that its cache lacks and the first draft step reads


class SecondDrafter:
    """Drafts as `Drafter` does, but with the full second model."""

    def __init__(
        self,
        executor: Executor,
        capacity: int,
        law: Law,
        tokens: Sequence[int],
        ends: frozenset[int] = frozenset(),
    ) -> None:
        self._executor, self._law = executor, law
        self._cache = executor.new_cache(capacity)
        self._tokens = tokens  # prompt and emitted tokens
        self._ends = ends
        self._scratch: list[int] = []  # tokens whose rows the last draft wrote after the cursor

    def run(self, plan: DraftPlan) -> Draft:
        """Read what was committed since the last draft, and draft."""
        self._follow()
        at = self._cache.length
        unread = tuple(self._tokens[at + 1 :])  # after the row that becomes the draft's root
        text = self._tokens[: at + 1]
        drafter = Drafter(self._executor, self._cache, self._law, text, self._ends, reused=False)
        draft = drafter.run(self._own(plan, unread))
        spine = draft.tokens[: len(draft.confidences)]
        walked = len(spine) > draft.copied  # a fully copied draft writes no rows
        self._scratch = [text[-1], *spine[:-1]] if walked else []
        return draft.after(len(unread))

    def _own(self, plan: DraftPlan, unread: tuple[int, ...]) -> DraftPlan:
        """The plan for the second model: its draft begins with the tokens that it has not read."""
        full, tree = SkipSet.none(self._executor.shape.layers), plan.tree
        bits = plan.skips.low_bits
        return replace(
            plan,
            skips=full.lower(bits) if bits else full,
            stop=replace(plan.stop, max_tokens=plan.stop.max_tokens + len(unread)),
            tree=tree and replace(tree, widths=(*(1 for _ in unread), *tree.widths)),
            copied=(*unread, *plan.copied),
        )

    def _follow(self) -> None:
        """Commit the rows of accepted tokens; read the others in blocks if there are many."""
        committed = self._tokens[self._cache.length : -1]
        kept = 0
        for own, token in zip(self._scratch, committed, strict=False):
            if own != token:
                break
            kept += 1
        self._cache.commit(range(kept))
        self._scratch = []
        unread = self._tokens[self._cache.length : -1]
        if len(unread) > ALONG or not self._cache.length:
            for _ in fill_cache(self._executor, self._cache, unread):
                pass  # each block is committed when the next one is requested
