"""The runs shown in the documentation: their figures, their environment and a chart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import table

from specframe.bench.report import Comparison, read_run
from specframe.bench.report.comparison import contender_of
from specframe.bench.report.facts import fingerprint
from specframe.bench.report.picture import speedup_picture
from specframe.bench.report.verdict import verdict
from specframe.bench.report.wording import MEAN, count, fold, interval, percent
from specframe.contract.registry import strategy_class, strategy_names
from specframe.testbed.disclosure import EXIT_NOTE, exit_mark

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = DOCS / "benchmarks.json"  # results files without the rows of single answers
ALL = DOCS / "strategies.json"
ALL_REAL = DOCS / "strategies-smollm2.json"
EVERYONE = {"testbed": ALL, "smollm2": ALL_REAL}
PICTURE = DOCS / "speedups.svg"
OWN, TRANSFORMERS = "speedup_vs_own_ar", "speedup_vs_transformers"
HEADS = (
    "contender",
    "speed-up over autoregressive",
    "speed-up over transformers",
    "acceptance rate",
    "tokens per round",
    "exact",
)
TRAITS = "training_free separable adaptive context_aware domain_aware precision_aware".split()


def take(run: Path) -> None:
    """Show this run from now on."""
    found = read_run(run)
    _keep(found, SHOWN)
    PICTURE.write_text(str(speedup_picture(found)), encoding="utf-8")


def take_all(run: Path) -> None:
    """Show this run of all strategies from now on, for its model."""
    found = read_run(run)
    _keep(found, ALL if found.model == "testbed" else ALL_REAL)


def take_real(run: Path) -> None:
    """Show this run of the real model next to the testbed's from now on."""
    shown = read_run(SHOWN)
    both = Comparison({**shown.results, "real_model": read_run(run).results})
    _keep(both, SHOWN)
    PICTURE.write_text(str(speedup_picture(both)), encoding="utf-8")


def _keep(run: Comparison, path: Path) -> None:
    kept = _without_rows(run.results)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _without_rows(results: Mapping[str, Any]) -> dict[str, Any]:
    real = results.get("real_model")
    kept = {**results, "rows": [], "prompts": {}, "vectors": {}, "studies": {}}
    return kept | {"real_model": None if real is None else _without_rows(real)}


def figures() -> str:
    """For each model, the verdict and one line per contender for the first setting."""
    run = read_run(SHOWN)
    parts = ["### The testbed, trained to be skippable", _figures(run)]
    if run.real is not None:
        parts += [f"### {run.real.model}, not trained for it", _figures(run.real)]
    return "\n\n".join(parts)


def _figures(run: Comparison) -> str:
    return f"> {verdict(run).sentence}\n\n{_contenders(run)}\n\n{_by_domain(run)}"


def everyone() -> str:
    """The same for the run of all strategies, with its name and machine."""
    run = read_run(ALL)
    machine = run.results["environment"]
    text = (
        f"Run `{run.results['run']}` with fingerprint `{fingerprint(run)}`, on {machine['cores']} "
        f"cores of {machine['processor']} with torch {machine['torch']}."
    )
    return f"{text}\n\n{_contenders(run)}\n\n{EXIT_NOTE}.\n\n{_by_domain(run)}"


def field() -> str:
    """One line per strategy: its traits, and its mean speed-ups with the preset `best`."""
    titles = [trait.replace("_", "-") for trait in TRAITS]
    means = {model: _means(path) for model, path in EVERYONE.items() if path.exists()}
    heads = ["strategy", *titles, "official code lossless under sampling", *means]
    lines = []
    for name in strategy_names():
        traits = strategy_class(name).traits
        marks = ["yes" if getattr(traits, trait) else "" for trait in TRAITS]
        measured = [found.get(name, "") for found in means.values()]
        lines.append([f"`{name}`", *marks, traits.official, *measured])
    return table(heads, lines)


def _means(path: Path) -> dict[str, str]:
    """Strategy -> its speed-up over autoregressive decoding, mean of the domains."""
    run = read_run(path)
    entries = run.entries(run.settings[0], MEAN)
    return {e["selector"]: fold(e[OWN]) for e in entries if e["preset"] in ("best", "")}


def measured(selector: str) -> str:
    """The results of one strategy in the runs of all, for each of its presets and settings."""
    lines = [
        line for path in EVERYONE.values() if path.exists() for line in _measured(path, selector)
    ]
    return table([*HEADS[:1], "model", "domain", *HEADS[1:-1], "selection"], lines)


def _measured(path: Path, selector: str) -> list[list[str]]:
    run = read_run(path)
    return [
        [
            _name(entry),
            run.model,
            domain,
            *_cells(entry),
            percent(entry["selection_share"], 1),
        ]
        for domain in (MEAN, *run.domains)
        for entry in run.entries(run.settings[0], domain)
        if entry["selector"].split("+")[0] == selector
    ]


def _contenders(run: Comparison) -> str:
    entries = sorted(run.entries(run.settings[0], MEAN), key=lambda entry: -entry[OWN])
    lines = (
        [
            f"{_name(entry)}{exit_mark(run.model, entry['selector'])}",
            *_cells(entry),
            percent(entry["exact_match"]),
        ]
        for entry in entries
    )
    return table(HEADS, lines)


def _cells(entry: Mapping[str, Any]) -> list[str]:
    return [
        _ratio(entry, OWN),
        _ratio(entry, TRANSFORMERS),
        percent(entry["acceptance"]) if entry["acceptance"] else "",
        count(entry["mean_accepted"]) if entry["mean_accepted"] else "",
    ]


def _ratio(entry: Mapping[str, Any], key: str) -> str:
    between = interval(entry, key)
    return fold(entry[key]) + (f" ({between})" if between else "")


def _name(entry: Mapping[str, Any]) -> str:
    return f"`{contender_of(entry)}`"


def _by_domain(run: Comparison) -> str:
    setting = run.settings[0]
    found = {
        (_name(entry), domain): fold(entry[OWN])
        for domain in run.domains
        for entry in run.entries(setting, domain)
    }
    names = list(dict.fromkeys(name for name, _ in found))
    lines = ([name, *(found[name, domain] for domain in run.domains)] for name in names)
    return table(["contender", *run.domains], lines)


def environment() -> str:
    """The run's name, settings, machine and model."""
    run = read_run(SHOWN)
    results = run.results
    facts = {
        "run": results["run"],
        "finished": results["created"],
        "fingerprint": fingerprint(run),
        **results["environment"],
        **{f"model: {key}": value for key, value in results["model"].items()},
        **{f"setting: {key}": value for key, value in results["config"].items()},
        "exactness": results["exactness"],
    }
    return table(["", ""], ([key, f"`{_plain(value)}`"] for key, value in facts.items()))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "all"
    return str(value)
