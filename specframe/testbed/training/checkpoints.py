"""Checkpoints of a training run: written beside, then named, so that none is ever half there."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

_LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands."""

    step: int
    seen: int  # tokens
    grown: bool
    streams: tuple[tuple[int, int], ...]


def save_checkpoint(
    folder: Path, position: Position, model: "LlamaForCausalLM", moments: dict[str, Tensor]
) -> None:
    """Write a checkpoint and drop the one before it."""
    from safetensors.torch import save_file

    name = f"checkpoint-{position.step:06d}"
    if latest_position(folder) == position:
        return  # it is there: writing it again would leave a moment without any
    beside = folder / f"{name}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    weights = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    save_file(weights, beside / "weights.safetensors")
    save_file(
        {key: value.contiguous() for key, value in moments.items()}, beside / "moments.safetensors"
    )
    (beside / "position.json").write_text(json.dumps(asdict(position)))
    shutil.rmtree(folder / name, ignore_errors=True)
    beside.rename(folder / name)
    _point(folder, name)


def latest_position(folder: Path) -> Position | None:
    """Where the run in a folder stands, or None when it has not begun."""
    if not (folder / _LATEST).exists():
        return None
    facts = json.loads((_latest(folder) / "position.json").read_text())
    streams = tuple((chunk, place) for chunk, place in facts["streams"])
    return Position(facts["step"], facts["seen"], facts["grown"], streams)


def load_checkpoint(folder: Path, model: "LlamaForCausalLM") -> dict[str, Tensor]:
    """Put the latest weights into the model and return the optimiser's tensors."""
    from safetensors.torch import load_file

    weights = load_file(_latest(folder) / "weights.safetensors")
    model.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    return load_file(_latest(folder) / "moments.safetensors")


def _latest(folder: Path) -> Path:
    return folder / (folder / _LATEST).read_text().strip()


def _point(folder: Path, name: str) -> None:
    beside = folder / f"{_LATEST}.partial"
    beside.write_text(name)
    os.replace(beside, folder / _LATEST)
    for old in folder.glob("checkpoint-*"):
        if old.name != name:
            shutil.rmtree(old)
