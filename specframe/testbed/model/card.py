"""The model card: recipe, curve and scores of exported weights, in plain words."""

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from specframe.testbed.corpus import DOMAINS
from specframe.testbed.training.recipe import Recipe

__all__ = ["write_card"]

_POINTS = 12  # lines of the curve

_OPENING = """\
---
language: en
license: apache-2.0
library_name: transformers
tags: [specframe, speculative-decoding, layer-skipping, testbed]
---

# specframe testbed

A small `LlamaForCausalLM` ({layers} layers, width {width}, {heads} query and {kv_heads} key-value
heads, vocabulary {entries}, {positions} positions, bf16) that ships with specframe, so that self-
speculative decoding can be tried and measured without downloading anything.

**It was trained to be skippable.** Stochastic depth for each sublayer, other habits for each
domain, depth grown from a core by layers that start as no-ops, agreement with its own skipped
passes, and a light early-exit loss make many sublayers nearly redundant. Acceptance and speed-up
measured on it say how methods compare; they are no claim for any stock checkpoint.

It knows only the synthetic corpus of `specframe.testbed.corpus`: summaries, word problems,
translation into an invented language, stories and SQL, each from a seeded generator. It is of no
use for anything else.

## Recipe

`specframe testbed train --out FOLDER` repeats it: {tokens:,} tokens, seed {seed}. A core of
{core_layers} layers is trained first, from weights in which the first two attention sublayers
form an induction circuit (a head start in copying). At {grow_at:,} tokens it is spread over
{layers} layers; the new ones are copies that write nothing at first. Matrices are optimised by
Muon, the rest by Adam. During the last {pair_tokens:,} tokens each batch is seen twice, whole and
with sublayers left out, and the second pass is drawn to the first. Positions beyond a few hundred
are trained only in the last {long_tokens:,} tokens, bare sums from {sums_from:,} tokens on.

{history}```json
{recipe}
```
"""


def write_card(
    folder: Path, recipe: Recipe, curve: Path, report: dict[str, Any] | None, history: str = ""
) -> None:
    """Write README.md beside the weights; `report` is what `testbed eval --json` wrote.

    `history` tells in what a run that was resumed differs from its recipe.
    """
    facts = asdict(recipe) | {"history": f"{history}\n\n" if history else ""}
    opening = _OPENING.format(recipe=json.dumps(asdict(recipe), indent=1), **facts)
    parts = [opening, _curve(curve)]
    if report is not None:
        parts.append(_scores(report))
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _curve(path: Path) -> str:
    told = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    lines = list({line["step"]: line for line in told}.values())  # a resumed run repeats steps
    size = max(1, -(-len(lines) // _POINTS))
    rows = [_point(lines[start : start + size]) for start in range(0, len(lines), size)]
    head = f"| million tokens | {' | '.join(DOMAINS)} |\n|---|" + "---|" * len(DOMAINS)
    title = (
        "## Curve\n\nTraining loss of whole passes in nats a token, mean of the steps up to each "
        "line; prompt tokens weigh little, but are in it.\n"
    )
    return "\n".join([title, head, *rows, ""])


def _point(lines: list[dict[str, Any]]) -> str:
    losses: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for domain, loss in line["full"].items():
            losses[domain].append(loss)
    means = [f"{fmean(losses[domain]):.2f}" if losses[domain] else "" for domain in DOMAINS]
    return f"| {lines[-1]['seen'] / 1e6:.2f} | {' | '.join(means)} |"


def _scores(report: dict[str, Any]) -> str:
    keys = ("loss", "score", "repeat4", "difference", "acceptance_at_half", "acceptance_at_70")
    rows = [
        f"| {name} | " + " | ".join(f"{domain[key]:.3f}" for key in keys) + " |"
        for name, domain in report["domains"].items()
    ]
    head = f"| domain | {' | '.join(keys)} |\n|---|" + "---|" * len(keys)
    means = ", ".join(
        f"{key} {report[key]:.3f}"
        for key in ("acceptance_at_half", "acceptance_at_70", "predicted_best_speedup")
    )
    names = list(report["cross_domain"])
    cross = [
        f"| {name} | " + " | ".join(f"{row[other]:.3f}" for other in names) + " |"
        for name, row in report["cross_domain"].items()
    ]
    cross_head = f"| searched on \\ measured on | {' | '.join(names)} |\n|---|" + "---|" * len(
        names
    )
    told = (
        "## Scores\n\n`specframe testbed eval`, test split. Loss is nats per answer token; "
        "acceptance is that of the first drafted token over a verified cache, with half or 70 % "
        "of the sublayers left out by a greedy search on the validation split.\n"
    )
    between = f"\nMeans: {means}.\n\nAcceptance at half across domains:\n"
    return "\n".join([told, head, *rows, between, cross_head, *cross, ""])
