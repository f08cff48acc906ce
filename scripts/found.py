"""The answers of studies for the page of studies, by model."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from specframe.studies.framework.registry import find_study

__all__ = ["MODELS", "RESULTS", "answer", "found", "take_studies"]

RESULTS = Path(__file__).parent.parent / "docs" / "results"
KEPT = ("created", "config", "rows")  # of a study's results
MACHINE = ("processor", "threads", "torch", "specframe")
MODELS = ("testbed", "smollm2")


def take_studies(run: Path) -> None:
    """Use the studies of this run from now on, for their model."""
    for path in sorted((run / "studies").glob("*/study.json")):
        study = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: study[key] for key in KEPT}
        kept["environment"] = {key: study["environment"][key] for key in MACHINE}
        kept["answer"] = answer(study["study"], study)
        target = RESULTS / f"{study['study']}.json"
        known = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
        model = study["config"].get("model", "testbed")
        _write(target, {**known, model: kept})


class _Rows:
    """A study's work whose rows all exist; no new row can be made."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def row(self, name: Mapping[str, Any], make: Callable[[], Any]) -> Mapping[str, Any]:
        known = json.loads(json.dumps(name))
        (row,) = [row for row in self._rows if known.items() <= row.items()]
        return row


def answer(name: str, results: Mapping[str, Any]) -> str:
    """The study's answer for these rows."""
    study = find_study(name)
    known = {field.name for field in fields(study.settings)}
    given = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in results["config"].items()
        if key in known
    }
    return study.run(type(study.settings)(**given), _Rows(results["rows"])).answer


def _write(target: Path, results: Mapping[str, Any]) -> None:
    """One line per row, so that differences between runs are short."""
    target.parent.mkdir(exist_ok=True)
    models = []
    for model in _ordered(results):
        facts = {key: value for key, value in results[model].items() if key != "rows"}
        rows = ",\n".join("   " + json.dumps(row) for row in results[model]["rows"])
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in facts.items()]
        models.append("\n".join([f' "{model}": {{', *lines, f'  "rows": [\n{rows}\n  ]\n }}']))
    target.write_text("{\n" + ",\n".join(models) + "\n}\n", encoding="utf-8")


def found(name: str) -> str:
    """The answer of each model, and the results file with the commands that made it."""
    path = RESULTS / f"{name}.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    shown = dict.fromkeys([*MODELS, *_ordered(results)])
    parts = [f"**{model}**: {_answer(results, model)}" for model in shown]
    if results:
        runs = "; ".join(_ran(name, model, results[model]["config"]) for model in results)
        parts.append(f"[Results file](results/{name}.json) of {runs}.")
    return "\n\n".join(parts)


def _ordered(models: Iterable[str]) -> list[str]:
    """MODELS first."""
    return sorted(models, key=lambda model: (model not in MODELS, [*MODELS, model].index(model)))


def _answer(results: Mapping[str, Any], model: str) -> str:
    return results[model]["answer"] if model in results else "not measured yet."


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
