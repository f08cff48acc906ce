"""The entry point for transformers: `model.generate(..., custom_generate=...)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import LogitsProcessorList, StoppingCriteriaList

from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.doors.arguments import from_prepared
from specframe.doors.speculator import (
    SelfSpeculator,
    SpeculativeOutput,
    prompt_tokens,
    refuse_padding,
)
from specframe.errors import InvalidRequest

__all__ = ["custom_generate"]


def custom_generate(
    strategy: LayerSelector | str,
    *,
    tokenizer: Any = None,
    streamer: Any = None,
    stop_strings: list[str] | str | None = None,
    strict: bool = False,
    costs: CostModel | None = None,
) -> Callable[..., Any]:
    """A decoding method for the `generate` of transformers.

    `strategy`, `tokenizer`, `strict` and `costs` are those of `SelfSpeculator`. transformers drops
    `streamer`, `tokenizer` and `stop_strings` on their way to a custom method: give them here, or
    to `generate` as `spec_streamer`, `spec_tokenizer` and `spec_stop_strings`.
    """

    def decode(
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: Any,
        spec_streamer: Any = None,
        spec_tokenizer: Any = None,
        spec_stop_strings: list[str] | str | None = None,
        **model_kwargs: Any,
    ) -> Any:
        _refuse(model_kwargs)
        speculator = SelfSpeculator(
            model,
            strategy,
            tokenizer=spec_tokenizer or tokenizer,
            strict=strict,
            costs=costs,
        )
        prompt = prompt_tokens(input_ids, speculator.executor.shape.vocabulary)
        decoding = from_prepared(
            speculator.executor.device,
            generation_config,
            logits_processor,
            stopping_criteria,
            prompt_length=len(prompt),
            stop_strings=spec_stop_strings or stop_strings,
            tokenizer=speculator.tokenizer,
        )
        output = speculator.collect(prompt, decoding, streamer=spec_streamer or streamer)
        return _returned(output, generation_config)

    return decode


def _returned(output: SpeculativeOutput, generation_config: Any) -> Any:
    return output if generation_config.return_dict_in_generate else output.sequences


def _refuse(model_kwargs: dict[str, Any]) -> None:
    """What a cursor cache that starts with this prompt cannot honour."""
    if model_kwargs.get("inputs_embeds") is not None:
        raise InvalidRequest(
            "The prompt is given as embeddings (inputs_embeds), and drafts start from token ids. "
            "Pass input_ids alone."
        )
    refuse_padding(model_kwargs.get("attention_mask"))
    cache = model_kwargs.get("past_key_values")
    if cache is not None and int(cache.get_seq_length()) > 0:
        raise InvalidRequest(
            f"The given cache already holds {int(cache.get_seq_length())} positions. Pass the "
            f"whole prompt and no past_key_values."
        )
