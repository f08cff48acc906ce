"""The runs shown in the documentation: their figures, their environment and a chart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import table

from specframe.bench.engine.decoders import HEADS as DECODER_HEADS
from specframe.bench.engine.decoders import decoders
from specframe.bench.report import Comparison, read_run
from specframe.bench.report.comparison import contender_of
from specframe.bench.report.facts import fingerprint
from specframe.bench.report.picture import speedup_picture
from specframe.bench.report.verdict import verdict
from specframe.bench.report.wording import MEAN, count, fold, interval, percent

__all__ = [
    "engine",
    "environment",
    "everyone",
    "figures",
    "measured",
    "take",
    "take_all",
    "take_engine",
]

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = DOCS / "benchmarks.json"  # results files without the rows of single answers
ALL = DOCS / "strategies.json"
ENGINE = DOCS / "engine.json"
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


def take(run: Path) -> None:
    """Make this run the one that is shown."""
    found = read_run(run)
    _keep(found, SHOWN)
    PICTURE.write_text(str(speedup_picture(found)), encoding="utf-8")


def take_all(run: Path) -> None:
    """Make this run of all strategies the one that is shown."""
    _keep(read_run(run), ALL)


def take_engine(file: Path) -> None:
    """Make these figures of `specframe bench engine` the ones that are shown."""
    ENGINE.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")


def engine() -> str:
    """One line per program that decoded a model without a strategy, and where that was."""
    found = json.loads(ENGINE.read_text(encoding="utf-8"))
    machine = found["environment"]
    told = (
        f"Greedy decoding of `{found['shape']['name']}` with {machine['threads']} threads on "
        f"{machine['processor']}, torch {machine['torch']}; the matrix products alone take "
        f"{found['products_ms']:.1f} ms per token."
    )
    lines = ([decoder.name, *decoder.shown] for decoder in decoders(found))
    return f"{told}\n\n{table(DECODER_HEADS, lines)}"


def _keep(run: Comparison, path: Path) -> None:
    kept = {**run.results, "rows": [], "prompts": {}, "vectors": {}, "studies": {}}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def figures() -> str:
    """The verdict, and one line per contender for the first setting, averaged over domains."""
    run = read_run(SHOWN)
    return f"> {verdict(run).sentence}\n\n{_contenders(run)}\n\n{_by_domain(run)}"


def everyone() -> str:
    """The same for the run of all strategies, with its name and machine."""
    run = read_run(ALL)
    machine = run.results["environment"]
    told = (
        f"Run `{run.results['run']}` with fingerprint `{fingerprint(run)}`, on {machine['cores']} "
        f"cores of {machine['processor']} with torch {machine['torch']}."
    )
    return f"{told}\n\n{_contenders(run)}\n\n{_by_domain(run)}"


def measured(selector: str) -> str:
    """The results of one strategy in the run of all, for each of its presets in the run."""
    run = read_run(ALL)
    lines = [
        [
            _name(entry),
            domain,
            _ratio(entry, OWN),
            _ratio(entry, TRANSFORMERS),
            percent(entry["acceptance"]) if entry["acceptance"] else "",
            count(entry["mean_accepted"]) if entry["mean_accepted"] else "",
            percent(entry["selection_share"], 1),
        ]
        for domain in (MEAN, *run.domains)
        for entry in run.entries(run.settings[0], domain)
        if entry["selector"] == selector
    ]
    return table([*HEADS[:1], "domain", *HEADS[1:-1], "selection"], lines)


def _contenders(run: Comparison) -> str:
    entries = sorted(run.entries(run.settings[0], MEAN), key=lambda entry: -entry[OWN])
    lines = (
        [
            _name(entry),
            _ratio(entry, OWN),
            _ratio(entry, TRANSFORMERS),
            percent(entry["acceptance"]) if entry["acceptance"] else "",
            count(entry["mean_accepted"]) if entry["mean_accepted"] else "",
            percent(entry["exact_match"]),
        ]
        for entry in entries
    )
    return table(HEADS, lines)


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
