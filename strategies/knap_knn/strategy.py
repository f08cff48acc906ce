"""KnapSpec x KNN-SSD: losses of skipping come from the prompt's domain, savings from the context.

No paper. KNN-SSD (https://arxiv.org/abs/2505.16162) looks up a skip set by domain and ignores
context length; KnapSpec (https://arxiv.org/abs/2602.20217) weighs sublayers by their latency at the
current context and learns each prompt from nothing. Here a domain keeps losses instead of a set,
and the set is solved for when it is needed. Numbers in the code:

    (1) offline, for each domain: losses that add up, fitted to measured sets (`knapsack_search`)
    (2) the link from losses to acceptance, and some measured sets, from unseen prompts, lower ends
    (3) after the prompt: its domain, by the nearest anchors (`lookup`)
    (4) the knapsack at the prices of the context, and again at each boundary (`resolve`)

It differs from the two methods that it combines: from KNN-SSD, (1) replaces the search of one set;
from KnapSpec, values are learnt offline and nothing is run while generating. Observed acceptance
moves (2) in log-odds, and the knapsack is solved again for text that is easier or harder than that
of the calibration. Where low-bit weights are quicker, (1) also fits what sublayers and head lose on
them, and (4) has three choices a sublayer; `memory` limits the low-bit copies of all domains
together.
Preset `faithful` takes both papers' constants: one neighbour and no gate, half of the weight at
most, drafts of 10 that end under probability 0.7, and nothing learnt while generating.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from specframe.contract.judged_set import JudgedSet
from specframe.contract.lab import Lab
from specframe.contract.paying import Prospect
from specframe.contract.selector import Traits
from specframe.strategies.knap_knn.config import FAITHFUL, KnapKnnConfig
from specframe.strategies.knap_knn.planner import KnapsackPlanner
from specframe.strategies.shared.domains.domain_models import DomainModel, learn_models
from specframe.strategies.shared.domains.looking_up import (
    LookingUp,
    label_prompts,
    require_labels,
)
from specframe.strategies.shared.domains.lookup import Memory, learn_memory, require_each
from specframe.strategies.shared.judging.prompt_split import MIXED, split_prompts
from specframe.strategies.shared.planners.prospects import JudgedProspect
from specframe.strategies.shared.searching.copy_room import CopyRoom, in_bytes
from specframe.strategies.shared.searching.resolve import Resolved
from specframe.types import ModelShape, Prompt

__all__ = ["KnapKnn", "KnapKnnConfig", "Learnt"]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What calibration found: where domains lie, and each one's model."""

    memory: Memory
    models: Mapping[str, DomainModel]  # by domain; MIXED is for prompts of none
    shape: ModelShape | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_each("Learnt", "models", (*self.memory.labels, MIXED), self.models)


@dataclass(frozen=True)
class KnapKnn(LookingUp):
    """What skipping loses by the prompt's domain, what it saves by the context: a knapsack."""

    config: KnapKnnConfig = field(default_factory=KnapKnnConfig)
    found: Learnt | None = None
    kept: Mapping[str, dict[Hashable, Resolved]] = field(init=False, compare=False, repr=False)

    name = "knap-knn"
    traits = Traits(
        "a domain's losses looked up, the knapsack solved at the current context",
        adaptive=True,
        context_aware=True,
        domain_aware=True,
        precision_aware=True,
        search="knapsack over fitted losses per domain",
        calibrated=True,
    )
    presets: ClassVar[Mapping[str, KnapKnnConfig]] = {"best": KnapKnnConfig(), "faithful": FAITHFUL}

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "kept", defaultdict(dict))

    def fresh(self) -> Self:
        """With the same look-up, without the solutions that were found so far."""
        found = copy(self)
        object.__setattr__(found, "kept", defaultdict(dict))
        return found

    @classmethod
    def require_prompts(cls, prompts: Sequence[Prompt]) -> None:
        """Enough of each domain, and a domain for each prompt or for none."""
        require_labels(prompts)
        split_prompts(prompts)

    def calibrate(self, lab: Lab, prompts: Sequence[Prompt]) -> Self:
        """Equations (1) and (2)."""
        config = self.config
        split = split_prompts(label_prompts(lab, prompts, config.pooling))
        memory = learn_memory(lab, split, config)
        room = CopyRoom(lab.costs, in_bytes("KnapKnnConfig", "memory", config.memory))
        models = learn_models(
            lab,
            split.searching(config.searched),
            seconds=config.seconds,
            evaluations=(config.evaluations, config.domain_evaluations),
            longest=config.longest,
            seed=config.seed,
            room=room if config.most_skipped == 1.0 else None,  # no paper lowers anything
        )
        return replace(self, found=Learnt(memory, models, lab.shape, lab.facts))

    def start(self, shape: ModelShape) -> KnapsackPlanner:
        """A planner that looks up the domain and solves its knapsack."""
        models = self.required(shape).models
        return KnapsackPlanner(self.lookup, models, self.config, self.kept)

    def prospect(self, shape: ModelShape) -> Prospect | None:
        """Of all domains' best sets, where observed acceptance counts."""
        if not self.config.review:
            return None
        models = self.required(shape).models.values()
        return JudgedProspect([model.judged for model in models], self.config.longest)

    def skip_sets(self) -> Mapping[str, JudgedSet]:
        """Each domain's best set at the calibration's context."""
        models = {} if self.found is None else self.found.models
        return {name: model.judged for name, model in models.items()}

    def figures(self) -> Mapping[str, Any]:
        """Of the searches, of the look-up, and of each domain's model."""
        if self.found is None:
            return {}
        models = self.found.models
        return {
            "best_so_far": {name: [list(p) for p in one.curve] for name, one in models.items()},
            **self.memory_figures(),
            "models": {name: model.figures() for name, model in models.items()},
        }
