"""The transformers model inside wrappers, such as those of PEFT."""

from __future__ import annotations

from typing import Any

from specframe.errors import UnsupportedModel

__all__ = ["walked_model"]


def walked_model(model: Any) -> Any:
    """The model whose sublayers are run; adapters in its layers stay in place.

    Learnt prompts, as in prompt tuning, are refused, since they are not token ids.
    """
    active = getattr(model, "active_peft_config", None)
    if active is not None and hasattr(model, "get_base_model"):
        if active.is_prompt_learning:
            _refuse_learnt_prompts(type(active).__name__)
        model = model.get_base_model()
    prepare = vars(model).get("prepare_inputs_for_generation")
    if prepare is not None and getattr(prepare, "__self__", None) is not model:
        _refuse_learnt_prompts(type(getattr(prepare, "__self__", prepare)).__name__)
    return model


def _refuse_learnt_prompts(name: str) -> None:
    raise UnsupportedModel(
        f"No executor runs this model: {name} adds learnt inputs before the prompt's tokens. "
        f"Use an adapter in the layers, such as LoRA, or transformers' own generate."
    )
