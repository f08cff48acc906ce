"""The trained models: the one in the package, and the tiny one in the user's cache folder."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from specframe.errors import ArtefactError
from specframe.testbed.folder import export, open_folder
from specframe.testbed.recipe import TINY
from specframe.testbed.train import train
from specframe.user_cache import cache_folder

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["WEIGHTS", "load", "load_tiny"]

WEIGHTS = Path(__file__).parent / "weights"


def load() -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """Model (bf16) and tokenizer that ship with the package."""
    if not (WEIGHTS / "model.safetensors").exists():
        raise ArtefactError(
            f"This copy of specframe has no testbed weights in {str(WEIGHTS)!r}. Reinstall it, or "
            f"run `specframe testbed train --out FOLDER` and load FOLDER/model."
        )
    return open_folder(WEIGHTS)


def load_tiny() -> tuple["LlamaForCausalLM", "PreTrainedTokenizerFast"]:
    """The 6-layer model: trained on first use, under two minutes, then kept in the cache."""
    kept = cache_folder() / f"testbed-tiny-{_sources_hash()}"
    if not (kept / "model.safetensors").exists():
        _train_tiny(kept)
    return open_folder(kept)


def _train_tiny(kept: Path) -> None:
    work = kept.with_name(f"{kept.name}.{os.getpid()}")
    train(TINY, work / "run", lambda _: None)
    export(TINY, work / "run", work / "model")
    if not kept.exists():  # two processes may train at once; both arrive at the same weights
        (work / "model").rename(kept)
    shutil.rmtree(work)


def _sources_hash() -> str:
    """Of everything that decides the tiny weights, so that an old cache is never taken for new."""
    here = Path(__file__).parent
    files = [*sorted((here / "corpus").glob("*.py")), *(here / f"{name}.py" for name in _DECISIVE)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


_DECISIVE = (
    "batches copying dropping encoding growth muon network recipe tokenizer training".split()
)
