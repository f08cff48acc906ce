"""The table of strategies: their traits, and mean speed-ups in the runs of all strategies."""

from pathlib import Path

from shown_run import ALL, ALL_REAL
from tables import table

from specframe.bench.report import read_run
from specframe.bench.report.wording import MEAN, fold
from specframe.contract.registry import strategy_class, strategy_names

RUNS = {"testbed": ALL, "smollm2": ALL_REAL}
SPEEDUP = "speedup_vs_own_ar"
TRAITS = {
    "training_free": "training-free",
    "separable": "separable",
    "adaptive": "adaptive",
    "context_aware": "context-aware",
    "domain_aware": "domain-aware",
    "precision_aware": "precision-aware",
}


def field() -> str:
    """One line per strategy; `best` is the preset that was measured."""
    means = {model: _means(path) for model, path in RUNS.items() if path.exists()}
    heads = ["strategy", *TRAITS.values(), "official code lossless under sampling", *means]
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
    return {e["selector"]: fold(e[SPEEDUP]) for e in entries if e["preset"] in ("best", "")}
