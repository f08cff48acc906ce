"""The run that the documentation shows: its figures, where they come from, its picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import table

from specframe.bench.report import Comparison, read_run
from specframe.bench.report.facts import fingerprint
from specframe.bench.report.picture import speedup_picture
from specframe.bench.report.verdict import verdict
from specframe.bench.report.wording import MEAN, count, fold, interval, percent

__all__ = ["environment", "figures", "take"]

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = DOCS / "benchmarks.json"  # a results file without what each single answer was
PICTURE = DOCS / "speedups.svg"
OWN, LIBRARY = "speedup_vs_own_ar", "speedup_vs_transformers"


def take(run: Path) -> None:
    """Show this run from now on."""
    found = read_run(run)
    kept = {**found.results, "rows": [], "prompts": {}, "vectors": {}, "studies": {}}
    SHOWN.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(str(speedup_picture(found)), encoding="utf-8")


def figures() -> str:
    """The verdict, and a line a contender of the first setting, mean of the domains."""
    run = read_run(SHOWN)
    entries = sorted(run.entries(run.settings[0], MEAN), key=lambda entry: -entry[OWN])
    heads = [
        "contender",
        "over own autoregressive",
        "over the library",
        "accepted",
        "a round",
        "exact",
    ]
    lines = (
        [
            f"`{entry['selector']}`",
            _ratio(entry, OWN),
            _ratio(entry, LIBRARY),
            percent(entry["acceptance"]) if entry["acceptance"] else "",
            count(entry["mean_accepted"]) if entry["mean_accepted"] else "",
            percent(entry["exact_match"]),
        ]
        for entry in entries
    )
    return f"> {verdict(run).sentence}\n\n{table(heads, lines)}\n\n{_by_domain(run)}"


def _ratio(entry: Mapping[str, Any], key: str) -> str:
    between = interval(entry, key)
    return fold(entry[key]) + (f" ({between})" if between else "")


def _by_domain(run: Comparison) -> str:
    setting = run.settings[0]
    found = {
        (entry["selector"], domain): fold(entry[OWN])
        for domain in run.domains
        for entry in run.entries(setting, domain)
    }
    selectors = list(dict.fromkeys(selector for selector, _ in found))
    lines = ([f"`{s}`", *(found[s, domain] for domain in run.domains)] for s in selectors)
    return table(["contender", *run.domains], lines)


def environment() -> str:
    """What the run was: its name, settings, machine and model."""
    run = read_run(SHOWN)
    results = run.results
    facts = {
        "run": results["run"],
        "finished": results["created"],
        "fingerprint": fingerprint(run),
        **results["environment"],
        **{f"model: {key}": value for key, value in results["model"].items()},
        **{f"setting: {key}": value for key, value in results["config"].items()},
        "promise": results["exactness"],
    }
    return table(["", ""], ([key, f"`{_plain(value)}`"] for key, value in facts.items()))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "all"
    return str(value)
