"""What studies found, model by model, as the page of studies shows it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specframe.studies.framework.registry import find_study

__all__ = ["RESULTS", "found", "take_studies"]

RESULTS = Path(__file__).parent.parent / "docs" / "results"
KEPT = ("created", "config", "answer", "rows")  # of a study's results
MACHINE = ("processor", "threads", "torch", "specframe")
MODELS = ("testbed", "smollm2")


def take_studies(run: Path) -> None:
    """Make a run's studies the ones that are shown of their model."""
    for path in sorted((run / "studies").glob("*/study.json")):
        study = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: study[key] for key in KEPT}
        kept["environment"] = {key: study["environment"][key] for key in MACHINE}
        target = RESULTS / f"{study['study']}.json"
        known = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
        model = study["config"].get("model", "testbed")
        _write(target, {**known, model: kept})


def _write(target: Path, results: Mapping[str, Any]) -> None:
    """A line for each row, so that a new run is a short difference."""
    target.parent.mkdir(exist_ok=True)
    models = []
    for model in sorted(results, key=MODELS.index):
        facts = {key: value for key, value in results[model].items() if key != "rows"}
        rows = ",\n".join("   " + json.dumps(row) for row in results[model]["rows"])
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in facts.items()]
        models.append("\n".join([f' "{model}": {{', *lines, f'  "rows": [\n{rows}\n  ]\n }}']))
    target.write_text("{\n" + ",\n".join(models) + "\n}\n", encoding="utf-8")


def found(name: str) -> str:
    """The answer of each model with the settings that differ from the study's own."""
    results = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    parts = [f"**{model}**: {results[model]['answer']}" for model in results]
    runs = "; ".join(_ran(name, model, results[model]["config"]) for model in results)
    return "\n\n".join([*parts, f"[Results file](results/{name}.json) of {runs}."])


def _ran(name: str, model: str, config: Mapping[str, Any]) -> str:
    study = find_study(name)
    full = all(
        json.loads(json.dumps(getattr(study.settings, key, None))) == value
        for key, value in config.items()
        if hasattr(study.settings, key) and key != "model"
    )
    quick = "" if full else " --quick"
    named = "" if model == "testbed" else f" --model {model}"
    return f"`specframe study {name}{quick}{named}`"
