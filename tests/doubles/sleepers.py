"""Contenders that sleep instead of decoding, and one that ends its process."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from specframe.bench.contenders import Answer, Asked


@dataclass
class Sleeper:
    """Sleeps; `deadly` is the first token of the prompt that it does not survive."""

    name: str
    seconds: float = 0.0
    deadly: int | None = None
    preset: str = ""

    def answer(self, prompt: Sequence[int], asked: Asked) -> Answer:
        if prompt[0] == self.deadly:
            os._exit(1)
        time.sleep(self.seconds)
        return Answer((*prompt, 1), 0.5, 1.0)

    def forget(self) -> None:
        """It remembers nothing."""
