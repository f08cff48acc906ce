"""The model as a standard folder that transformers can load."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from specframe.storage.user_cache import writing
from specframe.storage.whole_folder import filling
from specframe.testbed.model.card import write_card
from specframe.testbed.training.recipe import Recipe
from specframe.testbed.training.run import resume

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def export(
    recipe: Recipe,
    run: Path,
    target: Path,
    report: dict[str, Any] | None = None,
    history: str = "",
) -> None:
    """Write the run's latest weights in bf16, with config, tokenizer and model card (`card`)."""
    import torch
    from transformers import PreTrainedTokenizerFast

    model = resume(recipe, run).model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    with filling(target, "model.safetensors") as new, writing(target):
        model.save_pretrained(new)
        PreTrainedTokenizerFast.from_pretrained(run / "tokenizer").save_pretrained(new)
        write_card(new, recipe, run / "curve.jsonl", report, history)


def open_folder(folder: Path) -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """The model in bf16 and the tokenizer of an exported folder."""
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return model.eval(), PreTrainedTokenizerFast.from_pretrained(folder)
