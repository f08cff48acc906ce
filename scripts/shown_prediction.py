"""The predictions of `specframe predict --check` that the documentation shows."""

import json
from pathlib import Path

from tables import table

SHOWN = Path(__file__).parent.parent / "docs" / "prediction.json"
HEADS = ["context", "weights of drafts", "skipped", "drafted", "predicted", "measured"]


def take_prediction(file: Path) -> None:
    """Make these figures the ones that are shown."""
    SHOWN.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")


def prediction() -> str:
    """One line per plan, and how far predictions and measurements agree."""
    found = json.loads(SHOWN.read_text(encoding="utf-8"))
    facts = found["facts"]
    told = (
        f"`specframe predict --check --model {found['model']}` with {facts['threads']} threads on "
        f"{facts['processor']}, torch {facts['torch']}; other prompts are measured than those that "
        f"the acceptance rates are estimated on. Half of the predictions are wrong by at most "
        f"{found['median_abs_error']:.2f} of a speed-up, the worst by "
        f"{found['worst_abs_error']:.2f} ([results file](../prediction.json))."
    )
    return f"{told}\n\n{table(HEADS, map(_line, found['plans']))}"


def _line(plan: dict) -> list[object]:
    skipped = len(plan["skipped_attention"]) + len(plan["skipped_mlp"])
    return [
        plan["context"],
        plan["precision"],
        f"{skipped} sublayers",
        plan["draft_length"],
        f"{plan['predicted']:.2f} ({plan['low']:.2f} to {plan['high']:.2f})",
        f"{plan['measured']:.2f}",
    ]
