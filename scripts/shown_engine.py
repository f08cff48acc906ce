"""The figures of `specframe bench engine` that the documentation shows."""

import json
from pathlib import Path

from tables import table

from specframe.bench.engine.decoders import HEADS, decoders

SHOWN = Path(__file__).parent.parent / "docs" / "engine.json"


def take_engine(file: Path) -> None:
    """Make these figures the ones that are shown."""
    SHOWN.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")


def engine() -> str:
    """One line per program that decoded a model without a strategy, and where that was."""
    found = json.loads(SHOWN.read_text(encoding="utf-8"))
    machine = found["environment"]
    told = (
        f"Greedy decoding of `{found['shape']['name']}` with {machine['threads']} threads on "
        f"{machine['processor']}, torch {machine['torch']}. The matrix products alone take "
        f"{found['products_ms']:.1f} ms per token."
    )
    lines = ([decoder.name, *decoder.shown] for decoder in decoders(found))
    return f"{told}\n\n{table(HEADS, lines)}"
