"""The contract between strategies and the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from specframe.contract.options import preset_with
from specframe.errors import InvalidConfig
from specframe.types import DraftPlan, Estimate, ModelShape, Outcome, Pass, SkipSet, Step

if TYPE_CHECKING:
    from torch import Tensor

    from specframe.costs.model import CostModel

__all__ = [
    "Context",
    "DraftHead",
    "HeadMemory",
    "Lab",
    "LayerSelector",
    "Needs",
    "Probe",
    "Prompt",
    "Traits",
]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the engine must capture for a selector; nothing else is.

    Depths count sublayers of the residual stream, 0 to 2L; negative ones count from the end (-1 is
    2L). `every` stands for all of them.
    """

    prompt: tuple[int, ...] = ()  # depths kept of the prompt
    prompt_rows: int | None = None  # how many of its last rows; None is all
    committed: tuple[int, ...] = ()  # depths kept of committed tokens, from verification
    window: int = 0  # how many of the last committed tokens
    every: ClassVar[tuple[int, ...]] = (-(1 << 30),)

    @staticmethod
    def depths(wanted: tuple[int, ...], shape: ModelShape) -> frozenset[int]:
        """Named depths as plain numbers for a model of this shape."""
        if wanted == Needs.every:
            return frozenset(range(shape.sublayers + 1))
        return frozenset(d if d >= 0 else shape.sublayers + 1 + d for d in wanted)


class Probe(Protocol):
    """Computing for selectors: walks beside the cache, billed to selection."""

    @property
    def committed(self) -> int:
        """Cache columns that hold the target's keys and values."""
        ...

    def walk(
        self,
        step: Step,
        skips: SkipSet | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        hidden: Tensor | None = None,
        taps: Sequence[int] = (),
        rows: slice | None = None,
    ) -> Pass:
        """Like an executor's walk; `step.slot` must be None, so that nothing is written."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Final norm and head: [1, S, H] -> [1, S, V]."""
        ...


class HeadMemory(Protocol):
    """What a draft head knows of one sequence."""

    def run(self, states: Tensor, first: int) -> Tensor:
        """Rows at positions `first`, first + 1, ...: the trunk's stream to a predictive one.

        Both are [1, S, H]; the model's final norm and head read the result. What earlier calls
        said of these positions and later ones is replaced.
        """
        ...


class DraftHead(Protocol):
    """A trained stand-in for all sublayers after the first `depth`; frozen weights."""

    @property
    def depth(self) -> int:
        """Sublayers of the model that run before it."""
        ...

    def memory(self, capacity: int, like: Tensor) -> HeadMemory:
        """For a sequence of so many positions, in the dtype and on the device of `like`."""
        ...


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


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to calibrate on; an empty domain is an unknown one."""

    tokens: tuple[int, ...]
    domain: str = ""


class Lab(Protocol):
    """What `calibrate` may use: the model behind measurements, never itself."""

    shape: ModelShape
    costs: CostModel
    new_tokens: int  # how long the target's stored continuations are, where they do not end early
    facts: Mapping[str, str]  # of the model that is measured, for the artefact's fingerprint

    def answer(self, prompts: Sequence[Prompt]) -> None:
        """Let the target answer these now, rather than when they are first judged on."""
        ...

    def acceptance(self, skips: Sequence[SkipSet], prompts: Sequence[Prompt]) -> Sequence[Estimate]:
        """First-token acceptance of each skip set on the target's own continuations."""
        ...

    def seconds_per_token(
        self, plan: DraftPlan, prompts: Sequence[Prompt], new_tokens: int
    ) -> float:
        """Wall clock of generations with this plan, over the tokens they really emitted."""
        ...

    def vectors(self, prompts: Sequence[Prompt], depth: int, pooling: str) -> Tensor:
        """One hidden vector a prompt, [prompts, H]; `pooling` is the name of a `Pooling`."""
        ...

    def states(self, prompt: Prompt, depths: Sequence[int]) -> Mapping[int, Tensor]:
        """The target's stream over a prompt and its own answer, by depth: [tokens, H] each."""
        ...

    def read_out(self, states: Tensor) -> Tensor:
        """Final norm and head, differentiable in the states: [1, S, H] -> [1, S, V]."""
        ...

    def tell(self, what: str, done: int, of: int) -> None:
        """Say how far a part of the work has come."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """All that a selector sees when it plans a round."""

    shape: ModelShape
    tokens: Sequence[int]  # prompt and everything emitted; the last one is not in the cache yet
    prompt_length: int
    budget: int  # tokens that may still be emitted
    round: int  # 0 is the first round after the prompt
    sampled: bool = False
    costs: CostModel | None = None  # what sublayers cost on this machine, where it was measured
    prompt_states: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [rows, H]
    states: Mapping[int, Tensor] = field(default_factory=dict)  # depth -> [<= window, H]
    probe: Probe | None = None

    @property
    def length(self) -> int:
        """Tokens so far, the one that waits for its first pass included."""
        return len(self.tokens)


class LayerSelector(ABC):
    """Decides which sublayers to skip. One live instance serves one sequence.

    Order of calls: `spawn` once a sequence; then, each round, `select` and `observe`. A selector
    sees a `Context`, never the model, cache or tokenizer. It can change speed, not tokens.
    """

    needs: Needs = Needs()
    traits: ClassVar[Traits]
    presets: ClassVar[Mapping[str, Any]] = {}  # the `config` by preset's name
    combines: ClassVar[tuple[str, ...]] = ()  # selectors it is made of, unless others are named

    @classmethod
    def configured(cls, shape: ModelShape, preset: str = "best", /, **options: str) -> Self:
        """From a preset's name and options in text, as a command line gives them."""
        if not cls.presets:
            return cls._plain(options)
        config = preset_with(cls.__name__, cls.presets, preset, options)
        return cls(config=config)  # type: ignore[call-arg]

    @classmethod
    def _plain(cls, options: Mapping[str, str]) -> Self:
        """One without presets, which takes no settings."""
        if options:
            raise InvalidConfig(
                f"{cls.__name__} has no settings that a command line can give. Got "
                f"{', '.join(sorted(options))}; leave them out, or give the class `presets`."
            )
        try:
            return cls()
        except TypeError as error:
            raise InvalidConfig(
                f"{cls.__name__} cannot be made from its name alone: {error}. Give the class "
                f"`presets` or `configured`, or make one in Python."
            ) from error

    @classmethod
    def combining(
        cls, parts: Sequence[LayerSelector], preset: str = "best", /, **options: str
    ) -> Self:
        """The same for one made of others: those that `combines` or the option `of` name."""
        raise InvalidConfig(f"{cls.__name__} is not made of other selectors.")

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """A new selector that has learnt from these prompts; most have nothing to learn."""
        return self

    def figures(self) -> dict[str, Any]:
        """What calibration found, as plain data for people to read; empty where there is nothing.

        `sets` maps a name to its figures, `warnings` lists what to mind.
        """
        return {}

    def save(self, folder: Path) -> None:
        """Write configuration and calibration as an artefact that `load` reads."""
        raise InvalidConfig(f"{type(self).__name__} has nothing to save.")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        raise InvalidConfig(f"{cls.__name__} has nothing to load.")

    def head(self, shape: ModelShape) -> DraftHead | None:
        """The trained head that plans which are `headed` draft through; most have none."""
        return None

    @abstractmethod
    def select(self, context: Context) -> DraftPlan:
        """The plan of this round. The engine may shorten it, never lengthen it."""

    def observe(self, outcome: Outcome) -> None:  # noqa: B027 - most selectors learn nothing
        """What became of the plan. The only place where live state changes."""

    @abstractmethod
    def spawn(self) -> Self:
        """A fresh instance of the same configuration for a new sequence."""
