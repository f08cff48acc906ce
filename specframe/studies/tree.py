"""What tree drafting adds to each strategy.

The option `draft_tree` adds siblings to the drafted chain of any strategy; they are verified in the
same walk. Every strategy decodes the same prompts greedily with a chain and with each tree, on the
testbed's model at the prices of a 1.1B model. The text is the same each time, since decoding is
lossless, so prompts are compared one by one. Rounds are priced by the nodes they had, and the
strategy's computation is included. No time is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

from specframe.bench.timing import bootstrap
from specframe.contract.drafting_options import tree_from, with_drafting
from specframe.contract.options import require_at_least
from specframe.contract.registry import strategy_class
from specframe.contract.selector import LayerSelector
from specframe.errors import InvalidConfig
from specframe.prediction.priced_rounds import priced_rounds
from specframe.studies.framework.measurement import Measurement, remembered
from specframe.studies.framework.study import Bars, Findings, Row, Study, Work
from specframe.studies.worlds.calibrations import UNHURRIED, kept_or_calibrated
from specframe.studies.worlds.priced_rig import PricedRig, priced_rig
from specframe.types import Prompt

__all__ = ["STUDY", "TreeSettings"]

CHAIN = "chain"
Pairs = Sequence[tuple[float, float]]  # priced seconds of a prompt: chain, tree


@dataclass(frozen=True)
class TreeSettings:
    """`trees` have the format of `draft_tree`; `prompts` and `calibration` are per domain.

    `evaluations` are those of strategies that are calibrated. `profile` names prices, empty for the
    package's 1.1B.
    """

    model: str = "testbed"
    selectors: tuple[str, ...] = (
        "uniform-skip",
        "static-bo",
        "knn-ssd",
        "swift",
        "clasp",
        "del",
        "knapspec",
    )
    trees: tuple[str, ...] = ("2", "4-2-1", "0.9:1-0.5:2-4")
    prompts: int = 2
    new_tokens: int = 64
    calibration: int = 4
    evaluations: int = 120
    profile: str = ""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("selectors", "trees"):
            if not getattr(self, name):
                raise InvalidConfig.of(owner, name, "one or more", getattr(self, name))
        for tree in self.trees:
            tree_from(tree)
        require_at_least(self, prompts=1, new_tokens=8, calibration=3)


def run(settings: TreeSettings, work: Work) -> Findings:
    """A row for each strategy and tree; a chain's rows come first."""
    gains = _Gains(settings, work)
    rows: list[Row] = []
    for name in settings.selectors:
        (chain,) = gains.rows("selector tree", [(name, CHAIN)])
        trees = product((name,), settings.trees)
        rows += [chain, *gains.rows("selector tree", trees, partial(gains.row, chain=chain))]
    return _findings(rows)


def _findings(rows: Sequence[Row]) -> Findings:
    trees = [row for row in rows if row["tree"] != CHAIN]
    names = dict.fromkeys(row["selector"] for row in trees)
    adds = {name: {r["tree"]: r["adds"] for r in trees if r["selector"] == name} for name in names}
    best = {
        name: max((r for r in trees if r["selector"] == name), key=lambda r: r["adds"])
        for name in names
    }
    sure = [name for name, row in best.items() if row["adds_low"] > 0.0]
    said = ", ".join(
        f"{name} {row['adds']:+.1%} ({row['adds_low']:+.1%} to {row['adds_high']:+.1%}; "
        f"{row['tree']})"
        for name, row in best.items()
    )
    return Findings(
        {"adds": adds, "best_tree": {name: row["tree"] for name, row in best.items()}},
        f"With the best of these trees, the speed of each strategy changes by: {said}. The gain is "
        f"significant for {', '.join(sure) if sure else 'none'}.",
    )


def _added(pairs: Pairs) -> float:
    """Speed with the tree over speed with the chain, less 1."""
    return sum(chain for chain, _ in pairs) / sum(tree for _, tree in pairs) - 1.0


class _Gains(Measurement[TreeSettings]):
    def row(self, name: str, tree: str, chain: Row | None = None) -> Row:
        """One strategy with a tree, compared with its own chain."""
        options = {} if chain is None else {"draft_tree": tree}
        strategy = with_drafting(self._strategy(name), options)
        self._work.tell(f"{name}, {tree}")
        seconds, plain, every = [], 0.0, []
        for prompt in self._prompts:
            run = priced_rounds(self._rig, strategy, prompt, self._settings.new_tokens)
            seconds.append(sum(done.seconds + done.select_seconds for done in run))
            plain += sum(done.plain_seconds for done in run)
            every += run
        drafted = sum(done.drafted for done in every)
        row = {
            "speed": plain / sum(seconds),
            "tokens_a_round": sum(done.tokens for done in every) / len(every),
            "acceptance": sum(done.accepted for done in every) / drafted if drafted else None,
        }
        return {**row, **_compared(chain, seconds), "seconds": seconds}

    @cached_property
    def _rig(self) -> PricedRig:
        return priced_rig(self._settings.model, self._settings.profile, self._work.place)

    @cached_property
    def _prompts(self) -> list[Prompt]:
        return self._rig.study_prompts(self._settings.prompts)

    @remembered
    def _strategy(self, name: str) -> LayerSelector:
        """Calibrated on the validation split if needed, or read from the folder."""
        rig, settings = self._rig, self._settings
        if not strategy_class(name).traits.calibrated:
            return rig.strategy(name)
        options = {"search": "knapsack", "evaluations": str(settings.evaluations)}
        options["seconds"] = str(UNHURRIED)
        if strategy_class(name).traits.domain_aware:
            options["domain_evaluations"] = str(settings.evaluations)
        return kept_or_calibrated(
            rig.strategy(name, options=options),
            rig.lab(new_tokens=settings.new_tokens),
            rig.study_prompts(settings.calibration, split="validation"),
            self._work.folder / "calibrations" / name,
            lambda: self._work.tell(f"calibrating {name}"),
        )


def _compared(chain: Row | None, seconds: Sequence[float]) -> Mapping[str, float | None]:
    if chain is None:
        return {"adds": None, "adds_low": None, "adds_high": None}
    pairs = list(zip(chain["seconds"], seconds, strict=True))
    found = bootstrap(pairs, _added)
    return {"adds": found.value, "adds_low": found.low, "adds_high": found.high}


STUDY = Study(
    "tree",
    "What a tree adds",
    "How much does tree drafting add to each strategy?",
    TreeSettings(),
    TreeSettings(
        selectors=("static-bo", "knn-ssd", "swift", "knapspec"),
        trees=("2", "0.9:1-0.5:2-4"),
        prompts=1,
        new_tokens=64,
        evaluations=40,
    ),
    run,
    Bars("adds", ("selector", "tree")),
    real={"trees": ("0.9:1-0.5:2-4",), "new_tokens": 32, "calibration": 3, "evaluations": 30},
)
