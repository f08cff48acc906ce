"""Checkpoints of a training run; each is written under a temporary name and then renamed."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from specframe.storage.user_cache import write_text
from specframe.storage.whole_folder import scratch

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

_LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a training run has come."""

    step: int
    seen: int  # tokens
    grown: bool
    streams: tuple[tuple[int, int], ...]


def save_checkpoint(
    folder: Path, position: Position, model: "LlamaForCausalLM", moments: dict[str, Tensor]
) -> None:
    """Write a checkpoint and delete the previous one."""
    from safetensors.torch import save_file

    name = f"checkpoint-{position.step:06d}"
    if latest_position(folder) == position:
        return  # already written: writing it again would briefly leave none
    weights = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    whole = {key: value.contiguous() for key, value in moments.items()}
    with scratch(folder / f"{name}.partial") as partial:
        save_file(weights, partial / "weights.safetensors")
        save_file(whole, partial / "moments.safetensors")
        (partial / "position.json").write_text(json.dumps(asdict(position)))
        shutil.rmtree(folder / name, ignore_errors=True)
        partial.rename(folder / name)
    _point(folder, name)


def latest_position(folder: Path) -> Position | None:
    """The position of the run in a folder, or None if it has not started."""
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
    write_text(folder / _LATEST, name)
    for old in folder.glob("checkpoint-*"):
        if old.name != name:
            shutil.rmtree(old)
