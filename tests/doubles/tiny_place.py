"""A folder with a tiny model, prompts of two domains, and a cache with the model's prices."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from doubles.tiny import Tiny, tiny_model
from specframe.costs.measure import measured_profile
from specframe.executors.load import load_executor
from specframe.testbed.model.shipped import WEIGHTS

TINY = Tiny(layers=4, hidden=32, vocabulary=4096, positions=320, dtype=torch.bfloat16)
TEXTS = {
    "letters": [f"{a} {b} {c}" for a in "abcd" for b in "xyz" for c in "kl"],
    "numbers": [f"{n} + {n * n} =" for n in range(24)],
}


@contextmanager
def tiny_place(folder: Path) -> Iterator[Path]:
    """`folder` with `model`, `prompts.jsonl` and `cache`, which is used meanwhile."""
    model = tiny_model(TINY)
    model.save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(WEIGHTS / name, folder / "model" / name)
    lines = [{"prompt": text, "domain": d} for d, texts in TEXTS.items() for text in texts]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(folder / "cache"))
        measured_profile(model, load_executor(model), budget=0.2)
        yield folder
