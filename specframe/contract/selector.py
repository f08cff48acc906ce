"""The base class of strategies: a frozen configuration that starts a planner per sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.paying import PayingPlanner, Prospect
from specframe.contract.planner import DraftHead, Planner
from specframe.contract.published import PublishedFiles
from specframe.contract.second_model import LoadSecond, SecondModel
from specframe.errors import InvalidConfig
from specframe.types import ModelShape, Prompt

__all__ = ["LayerSelector", "Needs", "Traits"]

OLD = ("select", "spawn")  # methods of the contract of 0.1


@dataclass(frozen=True, slots=True)
class Needs:
    """What the engine must provide for a strategy.

    A depth of the residual stream is the number of sublayers before it, 0 to 2L; negative depths
    count from the end (-1 is 2L). `every` means all depths.
    """

    prompt: tuple[int, ...] = ()  # depths whose states are kept for the prompt
    prompt_rows: int | None = None  # how many of its last tokens; None means all
    committed: tuple[int, ...] = ()  # depths whose states are kept for committed tokens
    window: int = 0  # how many of the last committed tokens
    prices: bool = True  # whether plans depend on what sublayers cost on this machine
    every: ClassVar[tuple[int, ...]] = (-(1 << 30),)

    @staticmethod
    def depths(wanted: tuple[int, ...], shape: ModelShape) -> frozenset[int]:
        """The wanted depths as numbers from 0 to 2L, for a model of this shape."""
        if wanted == Needs.every:
            return frozenset(range(shape.sublayers + 1))
        return frozenset(d if d >= 0 else shape.sublayers + 1 + d for d in wanted)


@dataclass(frozen=True, slots=True)
class Traits:
    """The properties of a strategy that comparison tables show."""

    summary: str
    training_free: bool = True
    separable: bool = True  # attention and MLP are skipped separately
    adaptive: bool = False  # the plan changes while a sequence is generated
    context_aware: bool = False  # plans depend on the context length
    domain_aware: bool = False
    precision_aware: bool = False  # preset `best` chooses which sublayers are low-bit
    official: str = ""  # whether the authors' code is lossless under sampling, with the reason
    search: str = "none"
    calibrated: bool = False  # `calibrate` must be called before use
    split: str = "validation"  # the testbed's split that `calibrate` uses
    prompts: int = 20  # per domain that `calibrate` uses by default


class LayerSelector(ABC):
    """A strategy: decides which sublayers to skip while drafting.

    Instances are frozen. `start` gives a new `Planner` for each sequence, which sees a `Context`,
    never the model, cache or tokenizer. A strategy changes speed, not tokens. `calibrate`
    returns a new instance that has learnt from prompts. `fresh` drops what is kept between
    sequences, if anything.
    """

    needs: Needs = Needs()
    traits: ClassVar[Traits]
    presets: ClassVar[Mapping[str, Any]] = {}  # preset name -> `config`
    combines: ClassVar[tuple[str, ...]] = ()  # default parts of a combined strategy

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        old = [name for name in OLD if name in vars(cls)]
        if old:
            raise InvalidConfig(
                f"{cls.__name__} defines {' and '.join(old)}, as strategies did in specframe 0.1. "
                f"Since 0.2 a strategy is frozen and defines start(shape), which returns a Planner "
                f"with plan(context) and observe(outcome). CHANGELOG.md shows how to migrate."
            )

    @abstractmethod
    def start(self, shape: ModelShape) -> Planner:
        """A new planner for one sequence of a model of this shape."""

    @classmethod
    def from_config(cls, config: Any, shape: ModelShape) -> Self:
        """A strategy with this configuration, for a model of this shape."""
        return cls(config=config)  # type: ignore[call-arg]

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Raise if `calibrate` cannot learn from these prompts; by default, all are accepted.

        It is called before a model is loaded, so tokens may be characters.
        """
        return

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """A new strategy that has learnt from these prompts; by default, this one."""
        return self

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """What drafting could gain in a new sequence; if it is too little, nothing is drafted.

        None by default: the planner of `start` plans every round.
        """
        return None

    def fresh(self) -> Self:
        """The same strategy without what it keeps from sequence to sequence; by default, itself.

        A strategy that keeps something has one field for it, which its planners read and change.
        Comparison and `save` ignore this field.
        """
        return self

    def planner_for(self, shape: ModelShape) -> Planner:
        """The planner of `start`, used only while drafting may pay; called by the engine."""
        started, prospect = self.start(shape), self.prospect(shape)
        return started if prospect is None else PayingPlanner(started, prospect)

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """The skip sets that calibration found, by domain; empty if there are none."""
        return {}

    def warnings(self) -> tuple[str, ...]:
        """Problems of the calibration that a user should know."""
        sets = self.skip_sets()
        return tuple(f"{name}: {text}" for name, found in sets.items() for text in found.warnings)

    def notes(self) -> tuple[str, ...]:
        """What calibration found besides skip sets, one sentence per entry."""
        return ()

    def figures(self) -> Mapping[str, Any]:
        """Figures of the calibration besides its skip sets, as plain data."""
        return {}

    def save(self, folder: str | Path) -> None:
        """Write configuration and calibration as an artefact that `load` reads."""
        raise InvalidConfig(f"{type(self).__name__} has nothing to save.")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote."""
        raise InvalidConfig(f"{cls.__name__} has nothing to load.")

    @classmethod
    def imported(cls, files: PublishedFiles, shape: ModelShape, facts: Mapping[str, str]) -> Self:
        """A strategy from published files, for the model of this shape that `facts` identify."""
        raise InvalidConfig(f"No files were published that {cls.__name__} could import.")

    def head(self, shape: ModelShape) -> DraftHead | None:
        """The trained draft head for plans that are `headed`; None by default."""
        return None

    def with_models(self, load: LoadSecond) -> Self:
        """The same strategy with its other models loaded; by default, itself."""
        return self

    def second(self) -> SecondModel | None:
        """The loaded model for plans of `second`; None by default."""
        return None
