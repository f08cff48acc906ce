"""Auto: copies where the text repeats itself, and a bandit over any strategies where it does not.

A round copies as preset `suffix` of `cascade` does. In the other rounds, drafting nothing and the
arms compete. Each arm is a strategy and plans whole blocks of such rounds. Numbers in the code, all
in seconds of the machine's prices; only the time of planning is measured with the clock:

    (1) speed g of an arm = sum of (tokens x autoregressive seconds) / sum of its drafts' seconds
    (2) its standard error from the scatter of the rounds about g (a ratio estimate)
    (3) upper bound = g + w standard errors, infinite before the first round; drafting nothing has
        g = 1 exactly
    (4) the arm of the highest upper bound plans the next block
    (5) arms not yet known to pay may together lose a little against drafting nothing, no more
    (6) an arm whose plan would lose even if everything were accepted gives up its block

The sums of (1) and (2) are kept from sequence to sequence, so only the first sequences pay for
trying the arms. An arm that is not chosen does not plan or compute anything, but it learns from the
text. Copies are not an arm and not evidence for one: they depend on the text far more than drafts
do, and would hide which of two arms drafts faster. They are used where that is faster by the clock.
Because of (5), a text on which nothing pays costs little more than autoregressive decoding.
Evidence fades with every token. If the current arm has become a quarter slower, nearly all evidence
is dropped, so that an arm that failed on another kind of text is tried again.

The method is not from a paper; the bound is like that of Auer, Cesa-Bianchi, Fischer 2002 (UCB),
with an interval from the data instead of from the range. Both presets are the same; the arms are
made with the preset of this strategy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from specframe.contract.options import require_at_least
from specframe.contract.paying import Prospect, absence, draft_nothing
from specframe.contract.planner import Context, DraftHead, Planner
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.contract.selector import LayerSelector, Needs, Traits
from specframe.costs.model import CostModel
from specframe.costs.rates import round_seconds, token_seconds
from specframe.errors import InvalidConfig
from specframe.strategies.shared.ngrams import CopyCounts
from specframe.strategies.shared.planners.candidates import Repricing
from specframe.strategies.shared.planners.copy_first import CopyFirst
from specframe.strategies.shared.planners.evidence import CopyTrial, SpeedEvidence
from specframe.strategies.shared.planners.prospects import BestOf
from specframe.strategies.shared.suffix_copies import EarlierAnswers, SuffixConfig, SuffixIndex
from specframe.types import DraftPlan, ModelShape, Outcome

__all__ = ["Auto", "AutoConfig"]

COPIES = SuffixConfig()
RECENT = 1_000.0  # half-life in tokens of the evidence that shows whether the text has changed
SETTLED = 50.0  # rounds before it is used
SLOWER = 0.75
FORGOTTEN = 0.02  # share of the evidence that is kept when the text has changed


@dataclass(frozen=True)
class AutoConfig:
    """`width` is w of (3); `block` is in rounds, `half_life` of evidence in tokens.

    Without `copies` only the arms draft. What (5) may lose: `stake` autoregressive tokens, and a
    `share` of those that have passed.
    """

    width: float = 2.0
    block: int = 4
    half_life: float = 20_000.0
    stake: float = 40.0
    share: float = 0.008
    copies: bool = True

    def __post_init__(self) -> None:
        require_at_least(self, block=1, half_life=1, width=0, stake=0, share=0)


@dataclass
class _Record:
    """What is known of all arms."""

    evidence: list[SpeedEvidence]  # by arm
    recent: list[SpeedEvidence]  # the same, fading faster
    lost: float = 0.0  # seconds against drafting nothing
    passed: float = 0.0  # autoregressive seconds of all tokens

    @classmethod
    def of(cls, arms: int) -> _Record:
        """Nothing yet."""
        return cls([SpeedEvidence() for _ in range(arms)], [SpeedEvidence() for _ in range(arms)])

    def copy(self) -> _Record:
        """An independent copy."""
        evidence, recent = ([replace(one) for one in some] for some in (self.evidence, self.recent))
        return replace(self, evidence=evidence, recent=recent)

    def add(self, arm: int | None, tokens: int, gained: float, spent: float, keep: float) -> None:
        """A round of this arm, or of none: the seconds that it saved and took."""
        self.passed += gained
        for evidence in self.evidence:
            evidence.fade(keep)
        if arm is None:
            return
        self.evidence[arm].add(gained, spent)
        self.recent[arm].fade(0.5 ** (tokens / RECENT))
        self.recent[arm].add(gained, spent)
        self.lost = max(self.lost + spent - gained, 0.0)  # gains do not offset later losses

    def forget_if_slower(self, arm: int) -> None:
        """Reset the evidence if an arm that paid has become slower."""
        evidence, recent = self.evidence[arm], self.recent[arm]
        known = recent.rounds > SETTLED and evidence.speed > 1.0
        if not known or recent.speed >= SLOWER * evidence.speed:
            return
        for one in self.evidence:
            one.fade(FORGOTTEN)
        self.recent = [SpeedEvidence() for _ in self.recent]
        self.lost = 0.0  # the new text has its own stake


@dataclass(frozen=True)
class Auto(LayerSelector):
    """Copies, and drafts with whichever of several strategies turns out the fastest, or none."""

    parts: tuple[LayerSelector, ...]  # the arms
    config: AutoConfig = field(default_factory=AutoConfig)
    kept: _Record = field(init=False, compare=False, repr=False)  # of all sequences
    earlier: EarlierAnswers = field(init=False, compare=False, repr=False)
    counts: CopyCounts = field(init=False, compare=False, repr=False)  # of accepted copies
    trial: CopyTrial = field(init=False, compare=False, repr=False)  # of looking for copies

    traits = Traits(
        "copies, and whichever of several strategies turns out the fastest",
        adaptive=True,
        context_aware=True,
        precision_aware=True,
        search="upper confidence bounds over strategies",
    )
    presets: ClassVar[Mapping[str, AutoConfig]] = {"best": AutoConfig(), "faithful": AutoConfig()}
    combines = ("low-bit", "knapspec")

    def __post_init__(self) -> None:
        if not self.parts:
            raise InvalidConfig.of("Auto", "of", "one or more strategies", self.parts)
        object.__setattr__(self, "kept", _Record.of(len(self.parts)))
        object.__setattr__(self, "earlier", EarlierAnswers(COPIES))
        object.__setattr__(self, "counts", CopyCounts())
        object.__setattr__(self, "trial", CopyTrial())

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """What all arms need together, and prices."""
        every = [part.needs for part in self.parts]
        return Needs(
            _joined([needs.prompt for needs in every]),
            _most_rows([needs.prompt_rows for needs in every if needs.prompt]),
            _joined([needs.committed for needs in every]),
            max(needs.window for needs in every),
        )

    def fresh(self) -> Self:
        """With fresh parts, without evidence and without earlier outputs."""
        return replace(self, parts=tuple(part.fresh() for part in self.parts))

    def head(self, shape: ModelShape) -> DraftHead | None:
        """That of the only arm that has one."""
        heads = [head for part in self.parts if (head := part.head(shape)) is not None]
        if len(heads) > 1:
            raise InvalidConfig.of("Auto", "of", "at most one with a trained head", len(heads))
        return heads[0] if heads else None

    def with_models(self, load: LoadSecond) -> Self:
        """With the models of the arms."""
        return replace(self, parts=tuple(part.with_models(load) for part in self.parts))

    def second(self) -> SecondModel | None:
        """That of the only arm that has one."""
        models = [model for part in self.parts if (model := part.second()) is not None]
        if len(models) > 1:
            raise InvalidConfig.of("Auto", "of", "at most one with a draft model", len(models))
        return models[0] if models else None

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """The best prospect of the arms; copies may always pay."""
        if self.config.copies:
            return None
        prospects = [part.prospect(shape) for part in self.parts]
        return BestOf(prospects) if any(prospects) else None

    def start(self, shape: ModelShape) -> Planner:
        """A planner that chooses among new planners of all parts."""
        planners = [part.start(shape) for part in self.parts]
        bandit = _AutoPlanner(planners, self.config, self.kept)
        if not self.config.copies:
            return bandit
        index = SuffixIndex(COPIES, self.earlier)
        return CopyFirst(bandit, index, COPIES.prior, COPIES.priced, self.counts, self.trial)


class _AutoPlanner(Planner):
    """The bandit over one sequence, which begins with what earlier ones found."""

    def __init__(self, planners: Sequence[Planner], config: AutoConfig, kept: _Record) -> None:
        self._config, self._planners = config, planners
        self._kept, self._record = kept, kept.copy()
        self._current: int | None = None  # None drafts nothing
        self._left = 0  # rounds of the block
        self._hopeless: set[int] = set()  # arms, by (6)
        self._repricing = Repricing()
        self._costs: CostModel | None = None  # of the round that was planned
        self._n = 0  # its cache columns

    def plan(self, context: Context) -> DraftPlan:
        """The plan of the present arm."""
        self._costs, self._n = context.costs, context.length - 1
        if self._repricing.due(context):
            self._hopeless.clear()
        if self._left == 0:
            if self._current is not None:
                for record in (self._record, self._kept):
                    record.forget_if_slower(self._current)
            self._choose(context)
        while self._current is not None:
            plan = self._planners[self._current].plan(context)
            begins = self._left == self._config.block
            if not begins or not _loses(plan, context.costs, self._n):
                break
            self._hopeless.add(self._current)
            self._choose(context)
        else:
            plan = draft_nothing(context.shape.layers)
        for arm, planner in enumerate(self._planners):
            if arm != self._current:
                planner.follow(context)
        return plan

    def follow(self, context: Context) -> None:
        """All arms learn from text."""
        for planner in self._planners:
            planner.follow(context)

    def observe(self, outcome: Outcome) -> None:
        """Price the draft; the arm that planned it learns from it."""
        if self._costs is None or not outcome.emitted:
            return  # others plan from now on
        if self._current is not None:
            self._planners[self._current].observe(outcome)
        if outcome.plan.stop.max_tokens and not outcome.drafted:
            return  # a copy was verified in its place
        tokens = min(len(outcome.emitted), outcome.accepted + 1)  # without a copy before them
        gained = tokens * token_seconds(self._costs, self._n)
        spent = round_seconds(self._costs, outcome.plan, self._n, outcome.drafted)
        spent += outcome.select_seconds
        keep = 0.5 ** (tokens / self._config.half_life)
        for record in (self._record, self._kept):
            record.add(self._current, tokens, gained, spent, keep)
        self._left -= 1

    def _choose(self, context: Context) -> None:
        """Equation (4), among what (5) and (6) allow."""
        best, chosen = 1.0, None
        for arm in range(len(self._planners)):
            upper = self._record.evidence[arm].upper(self._config.width)  # equation (3)
            if upper > best and arm not in self._hopeless and self._may_plan(arm, context.costs):
                best, chosen = upper, arm
        if chosen != self._current and self._current is not None:
            self._planners[self._current].observe(absence(context.shape.layers))
        self._current, self._left = chosen, self._config.block

    def _may_plan(self, arm: int, costs: CostModel) -> bool:
        """Equation (5)."""
        evidence, config = self._record.evidence[arm], self._config
        if evidence.speed - config.width * evidence.error > 1.0:
            return True
        stake = config.stake * token_seconds(costs, self._n)
        return self._record.lost < stake + config.share * self._record.passed


def _loses(plan: DraftPlan, costs: CostModel, n: int) -> bool:
    """Equation (6): drafting nothing does not lose."""
    longest, alone = plan.stop.max_tokens, token_seconds(costs, n)
    lengths = {d for d in (1, longest // 2, longest) if d}
    return bool(lengths) and all(
        (d + 1) * alone <= round_seconds(costs, plan, n, d) for d in lengths
    )


def _joined(depths: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if Needs.every in depths:
        return Needs.every
    return tuple(dict.fromkeys(depth for some in depths for depth in some))


def _most_rows(rows: Sequence[int | None]) -> int | None:
    """None means all rows."""
    return None if not rows or None in rows else max(row for row in rows if row is not None)
