"""The entry point for transformers: `model.generate(..., custom_generate=...)`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import LogitsProcessorList, StoppingCriteriaList

from specframe.costs.model import CostModel
from specframe.doors.arguments import from_prepared, refuse_drafter, refuse_unsupported
from specframe.doors.inputs import prompts_of
from specframe.doors.speculator import SelfSpeculator, Strategy, ending
from specframe.errors import InvalidRequest

__all__ = ["custom_generate"]


def custom_generate(
    strategy: Strategy,
    *,
    tokenizer: Any = None,
    streamer: Any = None,
    stop_strings: list[str] | str | None = None,
    strict: bool = False,
    costs: CostModel | None = None,
) -> Callable[..., Any]:
    """A decoding method for the `generate` of transformers.

    `strategy`, `tokenizer`, `strict` and `costs` are those of `SelfSpeculator`. `streamer` and
    `stop_strings` may be given here or to `generate`; stop strings need the `tokenizer` here, or as
    `spec_tokenizer` there, since transformers does not pass its tokenizer on.
    """

    def decode(
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: Any,
        stop_strings: list[str] | str | None = stop_strings,
        spec_streamer: Any = None,
        spec_tokenizer: Any = None,
        spec_stop_strings: list[str] | str | None = None,
        **model_kwargs: Any,
    ) -> Any:
        begun = _not_passed_on("streamer")  # transformers has put the prompt into it
        assistant = _not_passed_on("assistant_model")
        own = spec_streamer or streamer
        with ending(begun), ending(own):
            refuse_drafter("assistant_model", assistant)
            refuse_unsupported(generation_config)
            _refuse(model_kwargs)
            speculator = SelfSpeculator(
                model, strategy, tokenizer=spec_tokenizer or tokenizer, strict=strict, costs=costs
            )
            prompt = prompts_of(input_ids, speculator.executor.shape.vocabulary).one
            decoding = from_prepared(
                speculator.executor.device,
                generation_config,
                logits_processor,
                stopping_criteria,
                prompt_length=len(prompt),
                stop_strings=spec_stop_strings or stop_strings,
                tokenizer=speculator.tokenizer,
            )
            if own is not None:
                own.put(input_ids.cpu())
            output = speculator.collect(prompt, decoding, streamer=own or begun)
        return output if generation_config.return_dict_in_generate else output.sequences

    return decode


def _not_passed_on(name: str) -> Any:
    """An argument of transformers' `generate`, two frames up, that it does not pass on."""
    caller = sys._getframe(2)
    return caller.f_locals.get(name) if caller.f_code.co_name == "generate" else None


def _refuse(model_kwargs: dict[str, Any]) -> None:
    """Refuse embeddings, padding and a cache that is already filled."""
    if model_kwargs.get("inputs_embeds") is not None:
        raise InvalidRequest(
            "The prompt is given as embeddings (inputs_embeds), and drafts start from token ids. "
            "Pass input_ids alone."
        )
    mask = model_kwargs.get("attention_mask")
    if mask is not None and not bool(mask.all()):
        raise InvalidRequest(
            "The prompt is padded (its attention mask holds zeros). Pass it without padding, or "
            "use SelfSpeculator.generate."
        )
    cache = model_kwargs.get("past_key_values")
    if cache is not None and int(cache.get_seq_length()) > 0:
        raise InvalidRequest(
            f"The given cache already holds {int(cache.get_seq_length())} positions. Pass the "
            f"whole prompt and no past_key_values."
        )
