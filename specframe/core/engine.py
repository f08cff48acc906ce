"""The loop: prefill, then rounds of plan, draft, verify, commit and observe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from specframe.contract.planner import Context, Planner
from specframe.contract.selector import LayerSelector
from specframe.contract.tokens import TokenView
from specframe.core.draft import Drafter
from specframe.core.head import HeadRunner
from specframe.core.probe import CacheProbe
from specframe.core.ranks import Ranks
from specframe.core.sampling import Law
from specframe.core.second import SecondDrafter
from specframe.core.states import StateWindow
from specframe.core.target import Target
from specframe.core.verify import NO_TOKEN
from specframe.costs.model import CostModel
from specframe.costs.sampled import sampled_prices
from specframe.errors import (
    InvalidDraftPlan,
    InvalidRequest,
    InvalidSkipSet,
    UnsupportedModel,
)
from specframe.executors.cache import CursorCache
from specframe.executors.executor import Executor
from specframe.types import LONGEST_CHAIN, LONGEST_DRAFT, DraftPlan, Outcome, SkipSet

__all__ = ["Engine", "Limits", "Round"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a generation ends: at the first of these limits."""

    max_new_tokens: int
    ends: frozenset[int] = frozenset()
    finished: Callable[[Sequence[int]], bool] | None = None  # called after each emitted token


@dataclass(frozen=True, slots=True)
class Round:
    """Tokens emitted in one round; round 0 processes the prompt and has no outcome.

    The time to make low-bit copies, which happens once, is counted in `low_bit_seconds` only.
    """

    index: int
    tokens: tuple[int, ...]
    seconds: float
    outcome: Outcome | None = None
    low_bit_seconds: float = 0.0


@dataclass(slots=True)
class _Sequence:
    """The state of one sequence while it is generated."""

    tokens: list[int]  # the cache holds all of them but the last
    prompt_length: int
    cache: CursorCache
    window: StateWindow
    drafter: Drafter
    target: Target
    head: HeadRunner | None
    second: SecondDrafter | None
    planner: Planner
    rounds: int = 0
    resting: DraftPlan | None = None  # the plan of the rounds in which the planner is not called
    rest_until: int = 0  # length of the text up to which the planner rests
    ended: bool = False  # by an end token, or because `finished` returned true


class Engine:
    """Generates sequences losslessly, whatever the strategy plans.

    Without `costs`, all sublayers are assumed to cost the same. `ranks` are the processes that run
    this engine together, over a model that is sharded between them.
    """

    def __init__(
        self,
        executor: Executor,
        strategy: LayerSelector,
        law: Law,
        limits: Limits,
        costs: CostModel | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self._executor, self._strategy, self._ranks = executor, strategy, ranks
        self._law, self._limits = law, limits
        costs = costs or CostModel.even(executor.shape.layers)
        self._second = strategy.second()
        costs = costs if self._second is None else replace(costs, second=self._second.costs)
        self._costs = sampled_prices(costs) if law.sampled else costs

    def rounds(self, prompt: Sequence[int], known: CursorCache | None = None) -> Iterator[Round]:
        """Emit tokens round by round.

        `known` holds the first tokens of the prompt, which are then not processed again. It is only
        for strategies that do not read the prompt's states.
        """
        started, before = self._clock(), self._low_seconds()
        live = self._begin(prompt)
        if known is not None:
            self._take_over(known, live)
        emitted = self._cut(live, [live.target.prefill(live.window, live.head)])
        live.tokens += emitted
        made = self._low_seconds() - before
        yield Round(0, tuple(emitted), self._clock() - started, None, made)
        while not live.ended and self._budget(live) > 0:
            started, before = self._clock(), self._low_seconds()
            outcome = self._round(live)
            live.rounds += 1
            seconds, made = self._clock() - started, self._low_seconds() - before
            yield Round(live.rounds, outcome.emitted, seconds, outcome, made)

    def _clock(self) -> float:
        """Seconds without those spent on low-bit copies, which are made once."""
        return perf_counter() - self._low_seconds()

    def _low_seconds(self) -> float:
        if self._second is None:
            return self._executor.low_seconds
        return self._executor.low_seconds + float(self._second.executor.low_seconds)

    def _begin(self, prompt: Sequence[int]) -> _Sequence:
        tokens = list(prompt)
        capacity = len(tokens) + self._limits.max_new_tokens + LONGEST_DRAFT
        cache = self._executor.new_cache(capacity)
        head = self._strategy.head(self._executor.shape)
        runner = None if head is None else HeadRunner(head, capacity)
        ends, second = self._limits.ends, None
        if self._second is not None:
            other = self._second.executor
            second = SecondDrafter(other, capacity, self._law, tokens, ends)
        return _Sequence(
            tokens,
            len(tokens),
            cache,
            StateWindow(self._strategy.needs, self._executor.shape),
            Drafter(self._executor, cache, self._law, tokens, ends, runner),
            Target(self._executor, cache, self._law, tokens),
            runner,
            second,
            self._strategy.planner_for(self._executor.shape),
        )

    def _take_over(self, known: CursorCache, live: _Sequence) -> None:
        if live.window.prompt_depths or live.head is not None:
            raise InvalidRequest(
                "This strategy reads the prompt's states, which a cache does not have. Leave out "
                "`known`, so that the whole prompt is processed."
            )
        if known.length >= live.prompt_length:
            raise InvalidRequest(
                f"The cache holds {known.length} tokens, and at most {live.prompt_length - 1} of "
                f"this prompt may be known: its last token is processed again."
            )
        live.cache.take_over(known)

    def _round(self, live: _Sequence) -> Outcome:
        begun = self._clock()
        resting = live.resting if len(live.tokens) < live.rest_until else None
        plan = resting or self._planned(live)
        capture = live.window.depths if plan.capture else frozenset()
        taps_wanted = capture | ({live.head.depth} if live.head is not None else set())
        planned = self._clock()
        if plan.second and live.second is not None:
            draft = live.second.run(plan)
        else:
            draft = live.drafter.run(plan, taps_wanted)
        drafted = self._clock()
        verdict, taps = live.target.judge(draft, plan.skips.prefix, taps_wanted)
        block = [*(draft.tokens[node] for node in verdict.path), verdict.bonus]
        emitted = self._cut(live, block)
        rows = [0, *(node + 1 for node in verdict.path)][: len(emitted)]
        if capture:
            live.window.push(draft.states, taps, rows)
        if live.head is not None:
            states = taps.get(live.head.depth, draft.states.get(live.head.depth))
            assert states is not None
            chain = rows[-1] < len(rows)  # the rows are consecutive
            live.head.push(states[:, : len(rows)] if chain else states[:, rows])
        live.cache.commit(rows)
        live.tokens += emitted
        verified = self._clock()
        seconds = self._seconds(planned - begun, drafted - planned, verified - drafted)
        outcome = Outcome(plan, draft, len(verdict.path), tuple(emitted), *seconds)
        if resting is not None:
            return outcome
        live.planner.observe(outcome)
        if not outcome.drafted and not plan.capture:
            live.resting, live.rest_until = plan, len(live.tokens) + live.planner.rest()
        learnt = self._clock() - verified
        return replace(outcome, select_seconds=outcome.select_seconds + learnt)

    def _planned(self, live: _Sequence) -> DraftPlan:
        plan = self._clamp(live.planner.plan(self._context(live)), live)
        if self._ranks is not None:
            self._ranks.agree(plan, live.tokens)
        return plan

    def _seconds(self, *measured: float) -> tuple[float, ...]:
        """The first rank's times on all ranks, since planners learn from them."""
        return measured if self._ranks is None else self._ranks.from_first(*measured)

    def _context(self, live: _Sequence) -> Context:
        return Context(
            shape=self._executor.shape,
            tokens=TokenView(live.tokens),
            prompt_length=live.prompt_length,
            budget=self._budget(live),
            round=live.rounds,
            sampled=self._law.sampled,
            costs=self._costs,
            prompt_states=live.window.prompt,
            states=live.window.committed,
            probe=CacheProbe(self._executor, live.cache),
        )

    def _budget(self, live: _Sequence) -> int:
        return self._limits.max_new_tokens - (len(live.tokens) - live.prompt_length)

    def _cut(self, live: _Sequence, block: list[int]) -> list[int]:
        """The block up to its first end token, or to where `finished` returns true.

        `_clamp` has kept the block within the budget. `finished` is called once for each token,
        since it may count them. It may also depend on a clock, so the first rank's result counts.
        """
        kept = self._own_cut(live, block)
        if self._ranks is None:
            return kept
        count, ended = self._ranks.from_first(len(kept), live.ended)
        live.ended = bool(ended)
        return block[: int(count)]

    def _own_cut(self, live: _Sequence, block: list[int]) -> list[int]:
        ends, finished = self._limits.ends, self._limits.finished
        for count, token in enumerate(block, start=1):
            if token == NO_TOKEN:
                raise InvalidRequest(
                    "The logits processors exclude every token here, so none can be chosen. Loosen "
                    "bad_words_ids, no_repeat_ngram_size or your own processors."
                )
            stopped = finished is not None and finished([*live.tokens, *block[:count]])
            if stopped or token in ends:
                live.ended = True
                return block[:count]
        return block

    def _clamp(self, plan: DraftPlan, live: _Sequence) -> DraftPlan:
        """Limit a draft to the budget, and a chain to what is verified bit-identically."""
        self._refuse(plan, live.head)
        longest = min(plan.stop.max_tokens, self._budget(live) - 1)
        if plan.tree is None or plan.tree.widest == 1:
            longest = min(longest, LONGEST_CHAIN)
        if longest == plan.stop.max_tokens:
            return plan
        return replace(plan, stop=replace(plan.stop, max_tokens=longest))

    def _refuse(self, plan: DraftPlan, head: HeadRunner | None) -> None:
        """Raise if the plan does not fit this model, its draft head or its second model."""
        sublayers, vocabulary = self._executor.shape.sublayers, self._executor.shape.vocabulary
        if plan.skips.size != sublayers:
            raise InvalidSkipSet(
                f"The plan's skip set covers {plan.skips.size} sublayers and the model has "
                f"{sublayers}. Use a strategy made for this model."
            )
        drafting = self._second.executor if plan.second and self._second else self._executor
        refusal = drafting.refuses_low() if plan.skips.low_bits else None
        if refusal is not None:
            raise UnsupportedModel(
                f"This model cannot draft with {plan.skips.low_bits}-bit weights: {refusal}. "
                f"Draft in full precision, i.e. leave draft_bits out."
            )
        unknown = [token for token in plan.copied if not 0 <= token < vocabulary]
        if unknown:
            raise InvalidDraftPlan(
                f"The plan copies token {unknown[0]}, and the model's vocabulary has {vocabulary}. "
                f"Copy only tokens of the context."
            )
        _refuse_exits(plan)
        if plan.second and (self._second is None or len(plan.skips) or plan.headed):
            raise InvalidDraftPlan(
                "A plan drafts with a second model, which needs a strategy whose `second` gives "
                "one, and a plan that skips nothing. Leave `second` out of the plan."
            )
        depth = None if head is None else head.depth
        rest = sublayers - (depth or 0)
        if plan.headed and (plan.skips.prefix != depth or len(plan.skips) != rest):
            raise InvalidDraftPlan(
                f"A headed plan must skip all sublayers after the head's depth and no others. The "
                f"depth is {depth}, and the plan's first {plan.skips.prefix} sublayers run."
            )


def _refuse_exits(plan: DraftPlan) -> None:
    """Raise if the plan has exits but its tokens cannot leave early."""
    if plan.exits is None:
        return
    tree = plan.tree is not None and plan.tree.widest > 1
    last = SkipSet.after(plan.skips.layers, len(plan.skips.kept) // 2)
    if plan.skips.bits != last.bits or tree or plan.headed:
        raise InvalidDraftPlan(
            f"A plan with exits must be an early exit itself, as SkipSet.after makes it, and draft "
            f"a chain without a draft head. This one skips the sublayers {list(plan.skips)}."
        )
