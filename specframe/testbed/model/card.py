"""The model card: recipe, training curve and scores of exported weights."""

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any

from specframe.testbed.corpus import DOMAINS
from specframe.testbed.disclosure import DISCLOSURE
from specframe.testbed.training.recipe import Recipe

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
heads, vocabulary of {entries}, {positions} positions, bf16) that is included in specframe.
With it, self-speculative decoding can be tried and measured without a download.

**It was trained to be skippable.** The following parts of the training make many sublayers nearly
redundant:

- stochastic depth, applied to each sublayer separately and with different rates for each domain
- depth that grows from a core of layers, by adding layers that have no effect at first
- a loss that makes passes with skipped sublayers agree with the full pass
- a small early-exit loss

{disclosure}

The model was trained only on the synthetic corpus of `specframe.testbed.corpus`: summaries, word
problems, translation into an invented language, stories and SQL. A seeded generator writes the text
of each domain. The model is not useful for anything else.

## Recipe

`specframe testbed train --out FOLDER` repeats the training: {tokens:,} tokens with seed {seed}.

A core of {core_layers} layers is trained first. In its initial weights, the first two attention
sublayers form an induction circuit, so that the model learns to copy sooner. After
{grow_at:,} tokens the core is spread over {layers} layers; the new layers are copies whose output
is zero at first. Matrices are optimised with Muon, all other parameters with Adam.

During the last {pair_tokens:,} tokens, each batch is used twice: in a full pass and in a pass with
skipped sublayers, whose output is trained to match that of the full pass. Positions beyond a few
hundred are trained only in the last {long_tokens:,} tokens. Sums without a word problem are
included from {sums_from:,} tokens on.

{history}```json
{recipe}
```
"""


def write_card(
    folder: Path, recipe: Recipe, curve: Path, report: dict[str, Any] | None, history: str = ""
) -> None:
    """Write README.md next to the weights; `report` is the output of `testbed eval --json`.

    `history` describes how a resumed run differs from its recipe.
    """
    facts = asdict(recipe) | {"history": f"{history}\n\n" if history else ""}
    recipe_json = json.dumps(asdict(recipe), indent=1)
    opening = _OPENING.format(recipe=recipe_json, disclosure=fill(DISCLOSURE, 100), **facts)
    parts = [opening, _curve(curve)]
    if report is not None:
        parts.append(_scores(report))
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _curve(path: Path) -> str:
    points = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    lines = list({line["step"]: line for line in points}.values())  # a resumed run repeats steps
    size = max(1, -(-len(lines) // _POINTS))
    rows = [_point(lines[start : start + size]) for start in range(0, len(lines), size)]
    head = f"| million tokens | {' | '.join(DOMAINS)} |\n|---|" + "---|" * len(DOMAINS)
    title = (
        "## Curve\n\nTraining loss of full passes, in nats per token. Each line is the mean over "
        "the steps since the line before. Prompt tokens are included with a small weight.\n"
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
    explanation = (
        "## Scores\n\nResults of `specframe testbed eval` on the test split. The loss is in nats "
        "per answer token. The acceptance rates are those of the first drafted token after a "
        "verified prefix, with half or 70 % of the sublayers skipped. These were chosen by a "
        "greedy search on the validation split. `score` is the share of the domain's checks that "
        "an answer passes, `repeat4` the share of 4-grams that occurred earlier in the answer, "
        "and `difference` the share of positions at which the greedy answers to two prompts "
        "differ.\n"
    )
    across = "Acceptance rate with half of the sublayers skipped, across domains:"
    between = f"\nMeans: {means}.\n\n{across}\n"
    return "\n".join([explanation, head, *rows, between, cross_head, *cross, ""])
