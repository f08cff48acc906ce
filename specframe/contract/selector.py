"""What a strategy is: a frozen configuration that starts a planner for each sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.planner import DraftHead, Planner
from specframe.errors import InvalidConfig
from specframe.types import ModelShape, Prompt

__all__ = ["LayerSelector", "Needs", "Traits"]

OLD = ("select", "spawn")  # methods of the contract of 0.1


@dataclass(frozen=True, slots=True)
class Needs:
    """What the engine must provide for a strategy.

    Depths count sublayers of the residual stream, 0 to 2L; negative ones count from the end (-1 is
    2L). `every` stands for all of them.
    """

    prompt: tuple[int, ...] = ()  # depths kept of the prompt
    prompt_rows: int | None = None  # how many of its last rows; None is all
    committed: tuple[int, ...] = ()  # depths kept of committed tokens, from verification
    window: int = 0  # how many of the last committed tokens
    prices: bool = True  # whether plans depend on what sublayers cost on this machine
    every: ClassVar[tuple[int, ...]] = (-(1 << 30),)

    @staticmethod
    def depths(wanted: tuple[int, ...], shape: ModelShape) -> frozenset[int]:
        """Named depths as plain numbers for a model of this shape."""
        if wanted == Needs.every:
            return frozenset(range(shape.sublayers + 1))
        return frozenset(d if d >= 0 else shape.sublayers + 1 + d for d in wanted)


@dataclass(frozen=True, slots=True)
class Traits:
    """The columns of the field's comparison table."""

    summary: str
    training_free: bool = True
    separable: bool = True  # attention and MLP are skipped separately
    adaptive: bool = False  # the plan changes while a sequence is generated
    context_aware: bool = False  # it knows that attention costs more at longer contexts
    domain_aware: bool = False
    search: str = "none"
    calibrated: bool = False  # `calibrate` must come first
    split: str = "validation"  # of the testbed's prompts that `calibrate` takes
    prompts: int = 20  # of each domain that it takes, unless told otherwise


class LayerSelector(ABC):
    """A strategy: decides which sublayers to skip while drafting.

    Instances are frozen. `start` gives a new `Planner` for each sequence, which sees a `Context`,
    never the model, cache or tokenizer. A strategy can change speed, not tokens. `calibrate`
    returns a new instance that has learnt from prompts.
    """

    needs: Needs = Needs()
    traits: ClassVar[Traits]
    presets: ClassVar[Mapping[str, Any]] = {}  # the `config` by preset's name
    combines: ClassVar[tuple[str, ...]] = ()  # strategies it is made of, unless others are named

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
        """A planner that has seen nothing, for one sequence of a model of this shape."""

    @classmethod
    def from_config(cls, config: Any, shape: ModelShape) -> Self:
        """With a configuration that one of `presets` gave; `shape` is the model's."""
        return cls(config=config)  # type: ignore[call-arg]

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """A new strategy that has learnt from these prompts; most have nothing to learn."""
        return self

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """The skip sets that calibration found, by domain; empty where there are none."""
        return {}

    def warnings(self) -> tuple[str, ...]:
        """What a user should know about the calibration."""
        sets = self.skip_sets()
        return tuple(f"{name}: {text}" for name, found in sets.items() for text in found.warnings)

    def notes(self) -> tuple[str, ...]:
        """What calibration found besides skip sets, a sentence each."""
        return ()

    def figures(self) -> Mapping[str, Any]:
        """Figures of the calibration besides its skip sets, as plain data to be written down."""
        return {}

    def save(self, folder: str | Path) -> None:
        """Write configuration and calibration as an artefact that `load` reads."""
        raise InvalidConfig(f"{type(self).__name__} has nothing to save.")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote."""
        raise InvalidConfig(f"{cls.__name__} has nothing to load.")

    def head(self, shape: ModelShape) -> DraftHead | None:
        """The trained head that plans which are `headed` draft through; most have none."""
        return None
