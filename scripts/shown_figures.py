"""Figures of single commands in the documentation: of the engine and of predictions."""

import json
import shutil
from pathlib import Path
from typing import Any

from tables import table

from specframe.bench.engine.decoders import HEADS, decoders

DOCS = Path(__file__).parent.parent / "docs"
ENGINE = DOCS / "engine.json"  # of `specframe bench engine`
PREDICTION = DOCS / "prediction.json"  # of `specframe predict --check`
PLANNED = ["context", "weights of drafts", "skipped", "drafted", "predicted", "measured"]


def take_engine(file: Path) -> None:
    """Use these figures of the engine from now on."""
    shutil.copyfile(file, ENGINE)


def take_prediction(file: Path) -> None:
    """Use these figures of predictions from now on."""
    shutil.copyfile(file, PREDICTION)


def engine() -> str:
    """One line per program that decoded a model without a strategy, and the machine."""
    found = _read(ENGINE)
    machine = found["environment"]
    text = (
        f"Greedy decoding of `{found['shape']['name']}` with {machine['threads']} threads on "
        f"{machine['processor']}, torch {machine['torch']}. The matrix products alone take "
        f"{found['products_ms']:.1f} ms per token."
    )
    lines = ([decoder.name, *decoder.shown] for decoder in decoders(found))
    return f"{text}\n\n{table(HEADS, lines)}"


def prediction() -> str:
    """One line per plan, and how well predictions and measurements agree."""
    found = _read(PREDICTION)
    facts = found["facts"]
    text = (
        f"`specframe predict --check --model {found['model']}` with {facts['threads']} threads on "
        f"{facts['processor']}, torch {facts['torch']}; other prompts are measured than those that "
        f"the acceptance rates are estimated on. Half of the predictions are wrong by at most "
        f"{found['median_abs_error']:.2f} of a speed-up, the worst by "
        f"{found['worst_abs_error']:.2f} ([results file](../prediction.json))."
    )
    return f"{text}\n\n{table(PLANNED, map(_line, found['plans']))}"


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def _line(plan: dict[str, Any]) -> list[object]:
    skipped = len(plan["skipped_attention"]) + len(plan["skipped_mlp"])
    return [
        plan["context"],
        plan["precision"],
        f"{skipped} sublayers",
        plan["draft_length"],
        f"{plan['predicted']:.2f} ({plan['low']:.2f} to {plan['high']:.2f})",
        f"{plan['measured']:.2f}",
    ]
