"""The trained models: one in the package, and a tiny one in the user's cache folder."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from specframe.errors import ArtefactError
from specframe.storage.user_cache import cache_folder
from specframe.storage.whole_folder import scratch
from specframe.testbed.model.folder import export, open_folder
from specframe.testbed.training.recipe import FULL, TINY
from specframe.testbed.training.run import train

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

WEIGHTS = Path(__file__).parents[1] / "weights"


def load() -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """The model (bf16) and the tokenizer that are included in the package."""
    if not (WEIGHTS / "model.safetensors").exists():
        raise ArtefactError(
            f"This copy of specframe has no testbed weights in {str(WEIGHTS)!r}. Reinstall it, or "
            f"run `specframe testbed train --out FOLDER` and load FOLDER/model."
        )
    return open_folder(WEIGHTS)


def load_core() -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """A model of the testbed's 8 core layers with its embeddings, norm, head and tokenizer.

    The weights are those of the testbed after all its training, in which such passes took part.
    """
    import torch

    model, tokenizer = load()
    places = FULL.core_places
    layers = model.model.layers
    model.model.layers = torch.nn.ModuleList(layers[place] for place in places)
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = number
    model.config.num_hidden_layers = len(places)
    return model, tokenizer


def load_tiny() -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """The 6-layer model, trained on first use (under two minutes) and then stored in the cache."""
    kept = cache_folder() / f"testbed-tiny-{_sources_hash()}"
    if not (kept / "model.safetensors").exists():
        _train_tiny(kept)
    return open_folder(kept)


def _train_tiny(kept: Path) -> None:
    with scratch(kept.with_name(f"{kept.name}.{os.getpid()}")) as work:
        train(TINY, work / "run", lambda _: None)
        export(TINY, work / "run", work / "model")
        if not kept.exists():  # two processes may train at once, with the same result
            (work / "model").rename(kept)


def _sources_hash() -> str:
    """Hash of all sources that affect the tiny weights, so that an outdated cache is not used."""
    testbed = Path(__file__).parents[1]
    decisive = (testbed / f"{name}.py" for name in _DECISIVE)
    files = [*sorted((testbed / "corpus").glob("*.py")), *decisive]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


_DECISIVE = (
    "model/encoding",
    "model/tokenizer",
    "training/batches",
    "training/copying",
    "training/dropping",
    "training/growth",
    "training/muon",
    "training/network",
    "training/recipe",
    "training/step",
)
