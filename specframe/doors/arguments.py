"""The generation arguments of transformers as one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from typing import Any

import torch
from torch import Tensor
from transformers import (
    EosTokenCriteria,
    GenerationConfig,
    LogitsProcessorList,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
    SynthIDTextWatermarkingConfig,
)

from specframe.contract.options import nearest, require_temperature
from specframe.core.engine import Limits
from specframe.core.sampling import Law, seeded_choice
from specframe.errors import InvalidConfig, InvalidRequest, PromptTooLong

__all__ = [
    "Decoding",
    "from_prepared",
    "padding_token",
    "refuse_drafter",
    "refuse_unsupported",
    "resolve",
]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are chosen and when generation ends."""

    law: Law
    limits: Limits
    pad: int  # the token that fills up the rows of a batch


def padding_token(model: Any, given: Mapping[str, Any]) -> int | None:
    """The token that counts as padding in a batch without attention mask, as in transformers.

    `given` are the arguments of `generate`.
    """
    config = given.get("generation_config") or model.generation_config
    if not isinstance(config, GenerationConfig):
        raise InvalidRequest(
            f"A generation config is a transformers.GenerationConfig. Got {type(config).__name__}; "
            f"pass its entries as arguments of generate."
        )
    pad, ends = (
        given[name] if given.get(name) is not None else getattr(config, name)
        for name in ("pad_token_id", "eos_token_id")
    )
    return None if pad in (ends if isinstance(ends, list) else [ends]) else pad


def resolve(
    model: Any,
    prompt: Sequence[int],
    positions: int,
    device: torch.device,
    *,
    seed: int | None = None,
    padding: int = 0,
    tokenizer: Any = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: LogitsProcessorList | None = None,
    stopping_criteria: StoppingCriteriaList | None = None,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
    **kwargs: Any,
) -> Decoding:
    """Resolve generation arguments as transformers does; an unsupported one is an error.

    `device` is the executor's: that of an offloaded model is `meta`. The `padding` positions before
    the prompt count in `max_length` and `min_length`, as in a batch of transformers.
    """
    require_seed(seed)
    refuse_drafter("assistant_model", kwargs.pop("assistant_model", None))
    lengths = [kwargs.get("max_length"), model.generation_config.max_length]
    lengths += [] if generation_config is None else [generation_config.max_length]
    has_length = any(length is not None for length in lengths)
    with _refusals_typed():
        config, unused = model._prepare_generation_config(generation_config, **kwargs)
    _refuse_unknown(set(unused) - {"output_attentions", "output_hidden_states"}, config)
    refuse_unsupported(config)
    if padding and config.max_length is not None:
        config.max_length -= padding
    if padding and config.min_length:
        config.min_length -= min(padding, config.min_length)
    budget = _budget(config, len(prompt), positions, has_length)
    config.max_length = len(prompt) + budget
    if config.min_new_tokens is not None:
        config.min_length = len(prompt) + config.min_new_tokens
    with _refusals_typed():
        model._prepare_special_tokens(config, device=device)
        processors = model._get_logits_processor(
            generation_config=config,
            input_ids_seq_length=len(prompt),
            encoder_input_ids=torch.tensor([list(prompt)], device=device),
            prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
            logits_processor=logits_processor or LogitsProcessorList(),
            device=str(device),
        )
        criteria = StoppingCriteriaList(stopping_criteria or [])
    if config.max_time is not None:
        criteria.append(MaxTimeCriteria(config.max_time))
    criteria.extend(_stop_strings(config.stop_strings, tokenizer))
    return Decoding(
        Law(tuple(processors), _choice(config, seed, device)),
        Limits(budget, _ends(config), _finished(criteria, device)),
        _pad(config),
    )


def from_prepared(
    device: torch.device,
    config: GenerationConfig,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    *,
    prompt_length: int,
    stop_strings: list[str] | str | None = None,
    tokenizer: Any = None,
) -> Decoding:
    """The same from the values that transformers' `generate` prepared for its own loop."""
    refuse_unsupported(config)
    counted = (MaxLengthCriteria, EosTokenCriteria)  # these are in the engine's limits
    kept = StoppingCriteriaList([c for c in criteria if not isinstance(c, counted)])
    kept.extend(_stop_strings(stop_strings, tokenizer))
    return Decoding(
        Law(tuple(processors), _choice(config, None, device)),
        Limits(config.max_length - prompt_length, _ends(config), _finished(kept, device)),
        _pad(config),
    )


@contextmanager
def _refusals_typed() -> Iterator[None]:
    """Raise transformers' refusal of a value as `InvalidRequest`."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"These generation arguments are refused: {error}") from error


def _ends(config: Any) -> frozenset[int]:
    ends = config._eos_token_tensor
    return frozenset() if ends is None else frozenset(ends.tolist())


def _pad(config: Any) -> int:
    pad = config._pad_token_tensor
    return 0 if pad is None else int(pad)


def _stop_strings(strings: list[str] | str | None, tokenizer: Any) -> list[StoppingCriteria]:
    if strings is None:
        return []
    if tokenizer is None:
        raise InvalidRequest(f"Stop strings {strings!r} need a tokenizer. Pass tokenizer=...")
    return [StopStringCriteria(tokenizer, strings)]


def _choice(config: Any, seed: int | None, device: torch.device) -> Any:
    if not config.do_sample:
        return None
    if seed is None:
        return seeded_choice(None)
    return seeded_choice(torch.Generator(device).manual_seed(seed))


def _budget(config: Any, prompt_length: int, positions: int, has_length: bool) -> int:
    if config.max_new_tokens is not None:
        budget = config.max_new_tokens
    elif has_length:
        budget = config.max_length - prompt_length
    else:
        budget = min(20, positions - prompt_length)  # as in transformers
    if prompt_length >= positions or prompt_length + budget > positions:
        raise PromptTooLong(
            f"A prompt of {prompt_length} tokens and {budget} new ones exceed the model's "
            f"{positions} positions. Shorten the prompt, or ask for at most "
            f"{max(positions - prompt_length, 0)} new tokens."
        )
    if budget < 1:
        raise InvalidRequest(
            f"The 'max_new_tokens' parameter of generate must be at least 1. Got {budget} instead."
        )
    return int(budget)


def require_seed(seed: Any) -> None:
    """Refuse a seed that torch generators do not accept."""
    if seed is not None and not (isinstance(seed, int) and -(2**63) <= seed < 2**63):
        wanted = "a whole number from -2^63 to 2^63 - 1"
        raise InvalidConfig.of("generate", "seed", wanted, seed)


def _refuse_unknown(names: Collection[str], config: GenerationConfig) -> None:
    if names:
        known = [name for name in vars(config) if not name.startswith("_")]
        raise InvalidRequest(
            f"Unknown generation arguments: {', '.join(sorted(names))}."
            f"{nearest(min(names), known)} See transformers.GenerationConfig for the names "
            f"that are understood."
        )


def refuse_drafter(name: str, value: Any) -> None:
    """Refuse transformers' own ways to draft."""
    if value:
        raise InvalidRequest(
            f"The {name!r} parameter of generate must be left out, since the strategy drafts. Got "
            f"{type(value).__name__} instead; the strategies 'prompt-lookup' and 'layerskip' do "
            f"what transformers does with it, or use transformers' own generate."
        )


def refuse_unsupported(config: Any) -> None:
    """Refuse several sequences per prompt, outputs that are not kept, and invalid numbers."""
    for name, value in vars(config).items():
        if isinstance(value, float) and isnan(value):  # NaN passes every comparison
            raise InvalidConfig.of("generate", name, "a number", value)
    for name in ("max_new_tokens", "max_length"):
        value = getattr(config, name)
        if value is not None and not isinstance(value, int):
            raise InvalidConfig.of("generate", name, "a whole number", value)
    if isinstance(config.max_time, str):
        raise InvalidConfig.of("generate", "max_time", "a number of seconds", config.max_time)
    if config.do_sample and isinstance(config.temperature, float) and config.temperature > 0.0:
        require_temperature("generate", config.temperature)
    for name, plain in (
        ("num_beams", 1),
        ("num_return_sequences", 1),
        ("guidance_scale", 1.0),
        ("penalty_alpha", 0.0),
        ("dola_layers", None),
        ("token_healing", False),
        ("constraints", None),
        ("force_words_ids", None),
    ):
        value = getattr(config, name, None)
        if value is not None and value != plain:
            raise InvalidRequest(
                f"The {name!r} parameter of generate must be {plain} (one sequence, drawn token by "
                f"token). Got {value!r} instead. Use transformers' own generate for it."
            )
    for name in ("output_scores", "output_logits", "output_hidden_states", "output_attentions"):
        if getattr(config, name, None):
            raise InvalidRequest(
                f"The {name!r} parameter of generate must not be true: they are not kept. "
                f"Leave it out, and call the model once on the generated sequences."
            )
    for name in ("prompt_lookup_num_tokens", "assistant_early_exit", "use_mtp"):
        refuse_drafter(name, getattr(config, name, None))
    if isinstance(config.watermarking_config, SynthIDTextWatermarkingConfig):
        raise InvalidRequest(
            "The 'watermarking_config' parameter of generate must not be SynthID's: it counts the "
            "calls of its processor, and drafts would add calls. Use a WatermarkingConfig, or "
            "transformers' own generate."
        )
    if getattr(config, "cache_implementation", None) == "quantized":
        raise InvalidRequest(
            "The 'cache_implementation' parameter of generate must not be 'quantized': a rejected "
            "draft could not be removed from it exactly. Leave it out."
        )


def _finished(
    criteria: StoppingCriteriaList, device: torch.device
) -> Callable[[Sequence[int]], bool] | None:
    """Stop strings, time limits and the user's criteria, checked after every emitted token."""
    if not criteria:
        return None

    def finished(tokens: Sequence[int]) -> bool:
        ids = torch.tensor([list(tokens)], device=device)
        return bool(criteria(ids, None).all())

    return finished
