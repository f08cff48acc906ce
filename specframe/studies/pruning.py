"""KnapSpec's cosine threshold, and what Lemma 4.1 says of it.

The program (https://arxiv.org/abs/2602.20217) gives up a path once its mean cosine with the
target's stream falls below a threshold. It is run in the middle of the embedded model's answers, as
published, at one threshold after another: what it then computes is priced, and the plan it comes to
is judged on the tokens that follow, which no decision saw. The lemma promises agreement where the
cosine of the head's inputs exceeds a bound; `strategies.lemma` counts where it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from statistics import fmean, harmonic_mean
from typing import Any

import torch
from torch import Tensor

from specframe.bench.prompts import BenchPrompt
from specframe.costs import CostModel
from specframe.errors import InvalidConfig, UnsupportedModel
from specframe.models.executor import NO_ROWS
from specframe.models.probe import CacheProbe
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import (
    Continuation,
    Judged,
    continue_prompts,
    judge,
    text_states,
)
from specframe.strategies.knapspec import (
    PaperConfig,
    PaperDecision,
    SublayerPrices,
    paper_decision,
)
from specframe.strategies.lemma import check_lemma
from specframe.studies.priced_model import PricedModel, priced_model
from specframe.studies.priced_play import PricedProbe
from specframe.studies.study import Findings, Lines, Row, Study, Work
from specframe.types import DraftPlan, SkipSet, Step, StopRule

__all__ = ["STUDY", "PruningSettings"]

UNPRUNED = -1.0
PUBLISHED = 0.5
PROGRAM, LEMMA = "program", "lemma"
LONGEST = 16
FREE = 0.01  # of the speed: what a threshold may lose and still be said to lose nothing


@dataclass(frozen=True)
class PruningSettings:
    """`rows` are the program's reference rows; `shares` of the sublayers are skipped for the lemma.

    `prompts` are of each domain; `profile` names prices, empty for the package's 1.1B.
    """

    model: str = "testbed"
    thresholds: tuple[float, ...] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
    shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
    prompts: int = 4
    rows: int = 16
    judged: int = 64  # tokens after them
    profile: str = ""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("thresholds", "shares"):
            values = getattr(self, name)
            if not values or not 0.0 < min(values) <= max(values) < 1.0:
                raise InvalidConfig.of(owner, name, "one or more in (0, 1)", values)
        for name, least in (("prompts", 1), ("rows", 2), ("judged", 8)):
            if getattr(self, name) < least:
                raise InvalidConfig.of(owner, name, f"at least {least}", getattr(self, name))


def run(settings: PruningSettings, work: Work) -> Findings:
    """A row for each threshold, and one for each share of the lemma's sets."""
    bench = _Bench(settings, work)
    program = [
        work.row({"of": PROGRAM, "threshold": threshold}, partial(bench.program, threshold))
        for threshold in (UNPRUNED, *settings.thresholds)
    ]
    lemma = [
        work.row({"of": LEMMA, "share": share}, partial(bench.lemma, share))
        for share in settings.shares
    ]
    return _findings(program, lemma)


def _findings(program: Sequence[Row], lemma: Sequence[Row]) -> Findings:
    whole = program[0]
    saves = {row["threshold"]: 1.0 - row["seconds"] / whole["seconds"] for row in program}
    loses = {row["threshold"]: 1.0 - row["speed"] / whole["speed"] for row in program}
    free = max((t for t in saves if loses[t] <= FREE), default=UNPRUNED)
    positions = sum(row["positions"] for row in lemma)

    def pooled(key: str) -> float:
        return sum(row[key] * row["positions"] for row in lemma) / positions

    figures: dict[str, Any] = {
        "saves": {_name(t): share for t, share in saves.items()},
        "loses": {_name(t): share for t, share in loses.items()},
        "highest_free_threshold": None if free == UNPRUNED else free,
        "lemma": {key: pooled(key) for key in ("agrees", "promised", "broken", "beyond")},
        "ranking": {str(row["share"]): row["ranking"] for row in lemma},
    }
    return Findings(figures, _answer(figures, saves, loses, free, fmean(_known(lemma))))


def _name(threshold: float) -> str:
    return "none" if threshold == UNPRUNED else str(threshold)


def _known(lemma: Sequence[Row]) -> list[float]:
    return [row["ranking"] for row in lemma if 0.0 < row["agrees"] < 1.0] or [0.5]


def _answer(
    figures: Mapping[str, Any],
    saves: Mapping[float, float],
    loses: Mapping[float, float],
    free: float,
    ranking: float,
) -> str:
    told = []
    if PUBLISHED in saves:
        told.append(
            f"At the published threshold of {PUBLISHED} pruning saves {saves[PUBLISHED]:.0%} of "
            f"the program's seconds and loses {loses[PUBLISHED]:.1%} of the plan's speed"
        )
    told.append(
        "every threshold tried loses speed"
        if free == UNPRUNED
        else f"the highest that loses at most {FREE:.0%}, {free}, saves {saves[free]:.0%}"
    )
    lemma = figures["lemma"]
    kept = "was never broken" if lemma["broken"] == 0.0 else f"was broken at {lemma['broken']:.1%}"
    return (
        f"{'; '.join(told)}. Lemma 4.1 promises agreement at {lemma['promised']:.1%} of positions "
        f"and {kept}; {lemma['beyond']:.0%} agree without its promise, and cosine is higher where "
        f"tokens agree than where they do not with chance {ranking:.2f}."
    )


class _Bench:
    """Model, prices and answers, made when the first row asks."""

    def __init__(self, settings: PruningSettings, work: Work) -> None:
        self._settings, self._work = settings, work
        self._decided: dict[float, list[tuple[PaperDecision, PricedProbe]]] = {}

    def program(self, threshold: float) -> Row:
        """Means over the answers; speeds are weighed by time."""
        decided = self._decisions(threshold)
        plans = [None if d.chosen is None else d.candidates[d.chosen] for d, _ in decided]
        whole = [
            None if d.chosen is None else d.candidates[d.chosen]
            for d, _ in self._decisions(UNPRUNED)
        ]
        speeds = [
            1.0 if plan is None else scene.speed(plan)
            for plan, scene in zip(plans, self._scenes, strict=True)
        ]
        return {
            "seconds": fmean(probe.seconds for _, probe in decided),
            "rows_walked": fmean(probe.rows for _, probe in decided),
            "candidates": fmean(len(d.candidates) for d, _ in decided),
            "speed": harmonic_mean(speeds),
            "skipped": fmean(0.0 if p is None else len(p) / p.size for p in plans),
            "no_plan": fmean(plan is None for plan in plans),
            "same_plan": fmean(p == w for p, w in zip(plans, whole, strict=True)),
        }

    def lemma(self, share: float) -> Row:
        """On the sets that the unpruned program found for about this share of the sublayers."""
        pairs, sizes = [], []
        for (decision, _), scene in zip(self._decisions(UNPRUNED), self._scenes, strict=True):
            skips = min(decision.candidates, key=lambda s: abs(len(s) / s.size - share))
            pairs.append(scene.streams(skips))
            sizes.append(len(skips) / skips.size)
        norm, head = self._read_out
        target, draft = (norm(torch.cat(streams)).detach() for streams in zip(*pairs, strict=True))
        cosines = torch.cosine_similarity(target.double(), draft.double(), dim=-1)
        found = asdict(check_lemma(head, target, draft))
        return {"skipped": fmean(sizes), "cosine": float(cosines.median()), **found}

    @cached_property
    def _world(self) -> PricedModel:
        return priced_model(self._settings.model, self._settings.profile)

    @cached_property
    def _read_out(self) -> tuple[Any, Tensor]:
        """The final norm and the head's rows."""
        model = self._world.model
        norm, head = getattr(model.base_model, "norm", None), model.get_output_embeddings()
        if norm is None or getattr(head, "bias", None) is not None:
            raise UnsupportedModel(
                f"The lemma is about a head without bias behind one norm, which "
                f"{type(model).__name__} does not have. Take a Llama-shaped model."
            )
        return norm, head.weight.detach()

    @cached_property
    def _scenes(self) -> list[_Scene]:
        settings, world = self._settings, self._world
        prompts = world.prompts(settings.prompts)
        self._work.tell(f"answering {len(prompts)} prompts")
        return [_Scene(world, prompt, settings.rows, settings.judged) for prompt in prompts]

    def _decisions(self, threshold: float) -> list[tuple[PaperDecision, PricedProbe]]:
        """Of each answer, and the probe that knows what it took."""
        if threshold not in self._decided:
            self._work.tell(f"the program at threshold {_name(threshold)}")
            self._decided[threshold] = [scene.decide(threshold) for scene in self._scenes]
        return self._decided[threshold]


class _Scene:
    """The middle of an answer: the program looks at the last rows, what follows judges it."""

    def __init__(self, world: PricedModel, prompt: BenchPrompt, rows: int, judged: int) -> None:
        executor = world.executor
        (text,) = continue_prompts(executor, [prompt.tokens], rows + judged)
        self._costs: CostModel = world.costs
        self._middle = text.prompt_length + rows
        self._executor = executor
        before = text.tokens[: self._middle]
        every = range(executor.shape.sublayers + 1)
        states = text_states(executor, before, every)
        self._references = {depth: found[0, -rows:] for depth, found in states.items()}
        self._before = judge(executor, Continuation(before, len(before) - 1))
        rest = Continuation(text.tokens, self._middle)
        self._rest: Judged = judge(executor, rest)
        self._estimator = AcceptanceEstimator(executor, [rest])

    def decide(self, threshold: float) -> tuple[PaperDecision, PricedProbe]:
        """The published program at this threshold."""
        probe = PricedProbe(CacheProbe(self._executor, self._before.cache), self._costs)
        line, level = self._costs.attention_line(), self._costs.mlp_level()
        prices = SublayerPrices(line.at(self._middle), level.intercept)
        config = PaperConfig(similarity=threshold)
        return paper_decision(probe, self._references, prices, config), probe

    def speed(self, skips: SkipSet) -> float:
        """On what follows, at its best draft length; 1 where none pays."""
        alpha, n = self._estimator.estimate(skips).mean, self._middle + self._rest.places / 2
        length = self._costs.best_draft_length(alpha, skips, n, LONGEST)
        return self._costs.speedup(alpha, DraftPlan(skips, StopRule(length)), n).value

    def streams(self, skips: SkipSet) -> tuple[Tensor, Tensor]:
        """Target's and draft's last states [places, H] on what follows, as drafts begin there."""
        text, device = self._rest, self._executor.device
        positions = torch.arange(text.first, len(text.tokens), device=device)
        columns = torch.arange(len(text.tokens), device=device)
        itself = torch.eye(len(positions), dtype=torch.bool, device=device)
        mask = torch.cat([columns < positions[:, None], itself], dim=1)
        tokens = torch.tensor([text.tokens[text.first :]], device=device)
        step = Step(tokens, positions, None, len(text.tokens), mask)
        draft = self._executor.walk(step, text.cache, skips, rows=NO_ROWS).hidden
        return text.hidden[0], draft[0]


STUDY = Study(
    "pruning",
    "What the cosine threshold prunes",
    "What does pruning by cosine save and lose, and how far does Lemma 4.1 reach?",
    PruningSettings(),
    PruningSettings(thresholds=(0.5, 0.9, 0.97, 0.99), shares=(0.1, 0.3, 0.5), prompts=1),
    run,
    Lines("seconds", "speed", ("of",)),
)
