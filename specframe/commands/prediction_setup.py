"""A model, its prices and its prompts, as `specframe predict` needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from specframe.doors.loading import PLANTED
from specframe.prediction.check import rank_sublayers
from specframe.prompts.everyday import cut_everyday_prompts
from specframe.prompts.files import cut_prompts, numbered_lines
from specframe.prompts.random import random_prompts
from specframe.prompts.testbed import suite_prompts
from specframe.prompts.usual import EVERYDAY, RANDOM, TESTBED
from specframe.rig import Rig
from specframe.testing.planted import planted_skips
from specframe.types import Prompt, SkipSet

__all__ = ["Setup", "require_source"]

SOURCES = (TESTBED, EVERYDAY, RANDOM)
SHARES = (0.2, 0.35, 0.5, 0.65)  # of the sublayers that checked skip sets leave out
PLANTED_SHARES = (0.25, 0.4, 0.55, 0.7)  # where planted models are made to fall
SLOW = 0.03  # seconds a token
RANKED_TOKENS = 32


def require_source(source: str) -> None:
    """Refuse a file of prompts that cannot be read, before a model is loaded."""
    if source not in SOURCES:
        numbered_lines(Path(source), "Name a file with one prompt per line.")


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything a prediction starts from."""

    rig: Rig
    source: str  # testbed, everyday, random or a file's name
    count: int | None  # prompts of each length; None leaves it to whoever asks for them
    new_tokens: int

    @property
    def slow(self) -> bool:
        """Whether generation takes so long that few answers are measured."""
        return self.rig.costs.autoregressive(1) > SLOW

    def prompts(self, context: int, start: int, usual: int) -> list[Prompt]:
        """Prompts of about this length; another start gives others."""
        vocabulary, count = self.rig.shape.vocabulary, self.count or usual
        if self.source == "testbed":
            return suite_prompts(self.rig.tokenizer, context, count, start)
        if self.source == "random":
            return random_prompts(vocabulary, context, count, start)
        place = count if start else 0  # these sources end somewhere: the next prompts
        if self.source == "everyday":
            return cut_everyday_prompts(self.rig.tokenizer, context, count, place)
        return cut_prompts(Path(self.source), self.rig.tokenizer, context, count, place)

    def skip_sets(self, context: int) -> list[SkipSet]:
        """The sublayers that matter least at this context: a few shares of them."""
        layers = self.rig.shape.layers
        if self.rig.name in PLANTED:
            return [planted_skips(layers, share) for share in PLANTED_SHARES]
        prompts = [prompt.tokens for prompt in self.prompts(context, 0, 4)[:4]]
        order = rank_sublayers(self.rig.executor, prompts, RANKED_TOKENS)
        return [
            SkipSet.from_sublayers(layers, order[: round(share * 2 * layers)]) for share in SHARES
        ]
