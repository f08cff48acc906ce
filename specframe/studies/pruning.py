"""KnapSpec's cosine threshold, and what Lemma 4.1 says about it.

The dynamic program (https://arxiv.org/abs/2602.20217) drops a path once its mean cosine with the
target's stream falls below a threshold. It runs once in each generation of the testbed's model, as
published, at several thresholds: its cost is priced, and its plan is judged on the following
tokens, which it has not seen. The lemma guarantees agreement if the cosine of the head's inputs
exceeds a bound; the share of such positions is counted for skip sets of the least important
sublayers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from statistics import fmean, harmonic_mean
from typing import Any

import torch
from torch import Tensor

from specframe.contract.options import require_at_least
from specframe.errors import InvalidConfig, UnsupportedModel
from specframe.executors.executor import NO_ROWS
from specframe.prediction.check import rank_sublayers
from specframe.prediction.priced_rounds import priced_rounds
from specframe.profilers.acceptance import AcceptanceEstimator
from specframe.profilers.continuations import Continuation, Judged, continue_prompts, judge
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Findings, Lines, Row, Study, Work
from specframe.studies.lemma import check_lemma
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.types import DraftPlan, Prompt, SkipSet, Step, StopRule

__all__ = ["STUDY", "PruningSettings"]

UNPRUNED = -1.0
PUBLISHED = 0.5
PROGRAM, LEMMA = "program", "lemma"
LONGEST = 16  # drafted tokens
ROUND = 11  # tokens that a round of the published strategy emits at most
FREE = 0.01  # loss of speed that is ignored


@dataclass(frozen=True)
class PruningSettings:
    """`prompts` of each domain; the plan is judged on `judged` tokens after the program ran.

    The program runs after `rounds` rounds. `shares` of the sublayers are skipped for the lemma.
    `profile` names prices, empty for the package's 1.1B.
    """

    model: str = "testbed"
    thresholds: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
    shares: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
    prompts: int = 4
    rounds: int = 2
    judged: int = 64
    profile: str = ""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("thresholds", "shares"):
            values = getattr(self, name)
            if not values or not 0.0 < min(values) <= max(values) < 1.0:
                raise InvalidConfig.of(owner, name, "one or more in (0, 1)", values)
        require_at_least(self, prompts=1, rounds=1, judged=8)


def run(settings: PruningSettings, work: Work) -> Findings:
    """A row for each threshold, and one for each share of the lemma's sets."""
    checks = _Checks(settings, work)
    thresholds = product((PROGRAM,), (UNPRUNED, *settings.thresholds))
    program = checks.rows("of threshold", thresholds, checks.program)
    lemma = checks.rows("of share", product((LEMMA,), settings.shares), checks.lemma)
    return _findings(program, lemma)


def _findings(program: Sequence[Row], lemma: Sequence[Row]) -> Findings:
    whole = program[0]
    saves = {row["threshold"]: 1.0 - row["seconds"] / whole["seconds"] for row in program}
    loses = {row["threshold"]: 1.0 - row["speed"] / whole["speed"] for row in program}
    free = max((t for t in saves if loses[t] <= FREE), default=UNPRUNED)
    positions = sum(row["positions"] for row in lemma)

    def pooled(key: str) -> float:
        return float(sum(row[key] * row["positions"] for row in lemma) / positions)

    figures: dict[str, Any] = {
        "saves": {_name(t): share for t, share in saves.items()},
        "loses": {_name(t): share for t, share in loses.items()},
        "highest_free_threshold": None if free == UNPRUNED else free,
        "lemma": {key: pooled(key) for key in ("agrees", "promised", "broken", "beyond")},
        "ranking": {str(row["share"]): row["ranking"] for row in lemma},
    }
    return Findings(figures, f"{_said(saves, loses, free)} {_lemma_said(lemma)}")


def _name(threshold: float) -> str:
    return "none" if threshold == UNPRUNED else str(threshold)


def _said(saves: Mapping[float, float], loses: Mapping[float, float], free: float) -> str:
    parts = []
    if PUBLISHED in saves:
        parts.append(
            f"At the published threshold of {PUBLISHED} pruning saves {saves[PUBLISHED]:.0%} of "
            f"the program's seconds and loses {loses[PUBLISHED]:.1%} of the plan's speed"
        )
    parts.append(
        "every threshold tried loses speed"
        if free == UNPRUNED
        else f"the highest threshold that loses at most {FREE:.0%}, {free}, saves {saves[free]:.0%}"
    )
    return f"{'; '.join(parts)}."


def _lemma_said(lemma: Sequence[Row]) -> str:
    def at(row: Row) -> str:
        return (
            f"{row['promised']:.0%} of positions where {row['share']:.0%} of the sublayers are "
            f"skipped ({row['agrees']:.0%} agree"
        )

    least, most = lemma[0], lemma[-1]
    kept = "and was never broken" if not any(row["broken"] for row in lemma) else "and was BROKEN"
    chances = [row["ranking"] for row in lemma]
    return (
        f"Lemma 4.1 guarantees agreement at {at(least)}) and at {at(most)}), {kept}. An agreeing "
        f"position has the higher cosine with a probability of {min(chances):.2f} to "
        f"{max(chances):.2f}."
    )


class _Checks(Measurement[PruningSettings]):
    def program(self, of: str, threshold: float) -> Row:
        """Means over the generations; speeds are weighted by time."""
        decided, unpruned = self._decisions(threshold), self._decisions(UNPRUNED)
        return {
            "seconds": fmean(one.seconds for one in decided),
            "speed": harmonic_mean([one.speed for one in decided]),
            "skipped": fmean(len(one.skips) / one.skips.size for one in decided),
            "no_plan": fmean(not one.skips for one in decided),
            "same_plan": fmean(
                one.skips == other.skips for one, other in zip(decided, unpruned, strict=True)
            ),
        }

    def lemma(self, of: str, share: float) -> Row:
        """The check at every generated position, with this share of the sublayers skipped."""
        layers = self._rig.executor.shape.layers
        skips = SkipSet.from_sublayers(layers, self._order[: max(round(share * 2 * layers), 1)])
        pairs = [_streams(self._rig, text, skips) for text in self._texts]
        norm, head = self._read_out
        target, draft = (norm(torch.cat(rows)).detach() for rows in zip(*pairs, strict=True))
        cosines = torch.cosine_similarity(target.double(), draft.double(), dim=-1)
        found = asdict(check_lemma(head, target, draft))
        return {"cosine": float(cosines.median()), **found}

    @cached_property
    def _rig(self) -> PricedRig:
        return priced_rig(
            self._settings.model, self._settings.profile, self._work.place
        ).without_ends()

    @cached_property
    def _read_out(self) -> tuple[Any, Tensor]:
        """The final norm and the head's rows."""
        model = self._rig.model
        norm, head = getattr(model.base_model, "norm", None), model.get_output_embeddings()
        if norm is None or getattr(head, "bias", None) is not None:
            raise UnsupportedModel(
                f"Lemma 4.1 needs one norm and a head without bias, which {type(model).__name__} "
                f"does not have. Use a Llama-shaped model."
            )
        return norm, head.weight.detach()

    @cached_property
    def _prompts(self) -> list[Prompt]:
        return self._rig.study_prompts(self._settings.prompts)

    @cached_property
    def _texts(self) -> list[Judged]:
        """Generations, with the target's keys and values."""
        executor = self._rig.executor
        self._work.tell(f"generating for {len(self._prompts)} prompts")
        tokens = [prompt.tokens for prompt in self._prompts]
        return [
            judge(executor, text)
            for text in continue_prompts(executor, tokens, self._settings.judged)
        ]

    @cached_property
    def _order(self) -> list[int]:
        """Sublayers, the least important on other prompts first."""
        self._work.tell("ranking sublayers")
        seen = self._rig.study_prompts(1, split="validation")
        return rank_sublayers(
            self._rig.executor, [prompt.tokens for prompt in seen], self._settings.judged
        )

    @remembered
    def _decisions(self, threshold: float) -> list[_Decision]:
        """The program's decision in each generation."""
        self._work.tell(f"the program at threshold {_name(threshold)}")
        return [self._decide(prompt, threshold) for prompt in self._prompts]

    def _decide(self, prompt: Prompt, threshold: float) -> _Decision:
        """Decode with the published strategy until its program has run once."""
        rounds, rig = self._settings.rounds, self._rig
        options = {"similarity": str(threshold), "first_kept": "1", "last_kept": str(rounds)}
        strategy = rig.strategy("knapspec", "faithful", options)
        run = priced_rounds(rig, strategy, prompt, (rounds + 1) * ROUND)
        when = next(i for i, done in enumerate(run) if done.select_seconds > 0.0)
        skips = run[when].plan.skips
        middle = 1 + sum(done.tokens for done in run[:when])
        return _Decision(skips, run[when].select_seconds, self._speed(prompt, skips, middle))

    @remembered
    def _speed(self, prompt: Prompt, skips: SkipSet, middle: int) -> float:
        """The speed-up after the first `middle` tokens, at the best length; 1 without skips."""
        if not skips:
            return 1.0
        rig, judged = self._rig, self._settings.judged
        (text,) = continue_prompts(rig.executor, [prompt.tokens], middle + judged)
        rest = Continuation(text.tokens, text.prompt_length + middle)
        alpha = AcceptanceEstimator(rig.executor, [rest]).estimate(skips).mean
        n = rest.prompt_length + judged / 2
        length = rig.costs.best_draft_length(alpha, skips, n, LONGEST)
        return rig.costs.speedup(alpha, DraftPlan(skips, StopRule(length)), n).value


@dataclass(frozen=True, slots=True)
class _Decision:
    """A plan, the priced seconds of the program, and the plan's speed on the following tokens."""

    skips: SkipSet
    seconds: float
    speed: float


def _streams(rig: PricedRig, text: Judged, skips: SkipSet) -> tuple[Tensor, Tensor]:
    """Last states of target and draft, [positions, H]; at each position a draft begins."""
    device = rig.executor.device
    positions = torch.arange(text.first, len(text.tokens), device=device)
    columns = torch.arange(len(text.tokens), device=device)
    itself = torch.eye(len(positions), dtype=torch.bool, device=device)
    mask = torch.cat([columns < positions[:, None], itself], dim=1)
    tokens = torch.tensor([text.tokens[text.first :]], device=device)
    step = Step(tokens, positions, None, len(text.tokens), mask)
    draft = rig.executor.walk(step, text.cache, skips, rows=NO_ROWS).hidden
    return text.hidden[0], draft[0]


STUDY = Study(
    "pruning",
    "What the cosine threshold prunes",
    "What does pruning by cosine similarity save and lose, and how far does Lemma 4.1 reach?",
    PruningSettings(),
    PruningSettings(thresholds=(0.5, 0.9, 0.97, 0.99), shares=(0.2, 0.5, 0.8), prompts=1),
    run,
    Lines("seconds", "speed", ("of",)),
    real={"thresholds": (0.5, 0.9, 0.99), "judged": 32},
    minutes=3,
)
