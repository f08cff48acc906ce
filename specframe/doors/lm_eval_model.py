"""The model `specframe` for lm-eval; importing this module registers it there.

Loglikelihoods are those of the full model, computed as in lm-eval's model `hf`. Text is generated
with a strategy, one prompt at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils_hf import stop_sequences_criteria
from torch import Tensor

from specframe.contract.naming import read_named
from specframe.doors.loading import MADE_HERE, load, located
from specframe.doors.second import require_with_models
from specframe.doors.speculator import SelfSpeculator

__all__ = ["SpecframeLM"]


@register_model("specframe")
class SpecframeLM(HFLM):  # type: ignore[misc]
    """`hf` with a strategy: a registered name such as `knapspec:faithful`, or a calibrated folder.

    `pretrained` may also be a name that only specframe knows, such as testbed; the other arguments
    are those of `hf`.
    """

    def __init__(self, pretrained: Any, strategy: str = "autoregressive", **kwargs: Any) -> None:
        named = read_named(strategy)
        require_with_models(named.name, named.preset, named.options)
        if pretrained in MADE_HERE:
            pretrained, kwargs["tokenizer"] = load(pretrained)
        elif isinstance(pretrained, str):
            pretrained = located(pretrained)
        super().__init__(pretrained, **kwargs)
        self._speculator = SelfSpeculator(self.model, strategy, tokenizer=self.tokenizer)
        self._strategy = strategy
        self._seconds = 0.0
        self._tokens = self._rounds = self._drafted = self._accepted = 0

    def _model_generate(
        self,
        context: Tensor,
        max_length: int,
        stop: list[str],
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Prompts with generated tokens, padding kept: [B, context] -> [B, longest]."""
        if not kwargs.get("temperature"):
            kwargs.pop("temperature", None)
            kwargs.setdefault("do_sample", False)
        masks = torch.ones_like(context) if attention_mask is None else attention_mask
        pad = self.tokenizer.pad_token_id
        answers = []
        for row, mask in zip(context, masks, strict=True):
            prompt = row[mask.bool()]
            output = self._speculator.generate(
                prompt,
                max_new_tokens=max_length - len(row),
                stopping_criteria=stop_sequences_criteria(self.tokenizer, stop, len(prompt), 1),
                pad_token_id=pad,
                **kwargs,
            )
            self._count(output.stats)
            answers.append(torch.cat([row, output.sequences[0, len(prompt) :]]))
        return torch.nn.utils.rnn.pad_sequence(answers, batch_first=True, padding_value=pad)

    def _count(self, stats: Any) -> None:
        self._seconds += stats.prefill_seconds + stats.decode_seconds
        self._tokens += stats.new_tokens
        self._rounds += stats.rounds
        self._drafted += stats.drafted
        self._accepted += stats.accepted

    def get_model_info(self) -> dict[str, Any]:
        """The information of `hf` and statistics of drafting; lm-eval adds it to its results."""
        drafting = {
            "strategy": self._strategy,
            "seconds": self._seconds,
            "tokens": self._tokens,
            "rounds": self._rounds,
            "drafted": self._drafted,
            "accepted": self._accepted,
        }
        return {**super().get_model_info(), "specframe": drafting}
