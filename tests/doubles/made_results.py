"""Results of a run that never took place: made rows, summed up by the real summary."""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

from specframe.bench.report import Comparison
from specframe.bench.schema import SCHEMA_VERSION
from specframe.bench.summary import summarise
from specframe.bench.timing import bootstrap

LAYERS = 12
DOMAINS = ("summary", "arithmetic", "translation", "story", "sql")
# contender -> tokens a second over autoregressive decoding, before domain and noise
PACES = {
    ("autoregressive", "best"): 1.0,
    ("static-bo", "best"): 1.42,
    ("knn-ssd", "best"): 1.55,
    ("knapspec", "best"): 1.5,
    ("knapspec", "faithful"): 0.9,
    ("knap-knn", "best"): 1.66,
    ("transformers", ""): 0.58,
    ("transformers-early-exit", ""): 0.5,
    ("transformers-prompt-lookup", ""): 0.74,
}
DOMAIN_FACTORS = dict(zip(DOMAINS, (1.0, 1.12, 1.05, 0.8, 1.2), strict=True))
STEP_SECONDS, NEW_TOKENS = 0.0055, 64
UNKNOWN = (
    "predicted_seconds rounds drafted accepted selection_seconds draft_seconds verify_seconds "
    "other_seconds skipped_attention skipped_mlp drafting_share"
).split()


def made_results(
    contexts: tuple[int, ...] = (0, 1024),
    per_domain: int = 3,
    repeats: int = 2,
    paces: Mapping[tuple[str, str], float] = PACES,
    noise: float = 0.012,
) -> dict[str, Any]:
    """Everything a results file holds, studies and hidden vectors included."""
    dice = random.Random(7)
    prompts = [(f"{d}/{c}/{i}", d, c) for c in contexts for d in DOMAINS for i in range(per_domain)]
    rows = [
        made_row(contender, pace, prompt, repeat, dice, noise)
        for repeat in range(repeats)
        for prompt in prompts
        for contender, pace in paces.items()
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "run": "quick-2031-05-04",
        "created": "2031-05-04T10:00:00+00:00",
        "config": {"model": "testbed", "prompts": "testbed", "contexts": list(contexts)},
        "environment": {"processor": "Imagined CPU at 3 GHz", "threads": 2, "torch": "9.9"},
        "model": {"layers": LAYERS, "hidden": 256, "dtype": "bfloat16", "executor": "fused"},
        "exactness": "Chains of greedy drafts: token for token.",
        "calibration": {"knn-ssd": {"seconds": 41.5, "prompts": 60, "folder": "knn-ssd"}},
        "prompts": [{"name": name, "domain": domain, "tokens": 90} for name, domain, _ in prompts],
        "vectors": [made_vector(name, domain, dice) for name, domain, _ in prompts],
        "rows": rows,
        "summary": summed_up(rows),
        "studies": {"cross-domain": made_study(), "bars": made_bars(), "lines": made_lines()},
    }


def summed_up(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The real summary; fewer draws make its intervals rougher and ten times as quick."""
    with patch("specframe.bench.summary.bootstrap", partial(bootstrap, draws=200)):
        return summarise(rows)


def made_row(
    contender: tuple[str, str],
    pace: float,
    prompt: tuple[str, str, int],
    repeat: int,
    dice: random.Random,
    noise: float,
) -> dict[str, Any]:
    """One generation; only strategies with a gain draft, and the library reports nothing more."""
    selector, preset = contender
    name, domain, context = prompt
    ours, drafts = preset != "", preset != "" and selector != "autoregressive"
    drafts = drafts and not (selector == "knn-ssd" and domain == "story")  # it declines there
    factor = (DOMAIN_FACTORS[domain] if drafts else 1.0) * (1 - context / 12_000 * drafts)
    if ours and not drafts:
        pace = 1.0
    step = STEP_SECONDS * (1 + context / 8_000)
    decode = (NEW_TOKENS - 1) * step / (pace * factor) * dice.gauss(1.0, noise)
    rounds = 18 if drafts else NEW_TOKENS - 1
    shares = (0.012, 0.44, 0.5, 0.048) if drafts else (0.0, 0.0, 0.97, 0.03)
    row = {
        "selector": selector,
        "preset": preset,
        "prompt": name,
        "domain": domain,
        "context": context,
        "prompt_tokens": context or 90,
        "temperature": 0.0,
        "repeat": repeat,
        "new_tokens": NEW_TOKENS,
        "tokens": [1] * NEW_TOKENS,
        "first_tokens": 1,
        "prefill_seconds": 0.03,
        "decode_seconds": decode,
        "predicted_seconds": decode * dice.gauss(1.02, 0.04),
        "rounds": rounds,
        "drafted": 60 if drafts else 0,
        "accepted": 45 if drafts else 0,
        "skipped_attention": 0.5 if drafts else 0.0,
        "skipped_mlp": 0.33 if drafts else 0.0,
        "drafting_share": 1.0 if drafts else 0.0,
        "skips": made_skips(selector, domain, context, rounds, dice) if drafts else {},
        "peak_bytes": 900 * 2**20,
        "exact_match": True,
    }
    for part, share in zip(("selection", "draft", "verify", "other"), shares, strict=True):
        row[f"{part}_seconds"] = share * decode
    return row if ours else row | dict.fromkeys(UNKNOWN)


def made_skips(
    selector: str, domain: str, context: int, rounds: int, dice: random.Random
) -> dict[str, int]:
    """Middle sublayers more often, attention more at long contexts, domains apart."""
    shift = 0 if selector == "static-bo" else DOMAINS.index(domain) - 2
    skips = {}
    for sublayer in range(2 * LAYERS):
        away = abs(sublayer // 2 - LAYERS / 2 - shift) / LAYERS
        wish = 1.1 - 2.4 * away + (0.25 if context and sublayer % 2 == 0 else 0.0)
        if selector == "static-bo":
            wish = float(wish > 0.55)
        times = round(rounds * min(max(wish + dice.uniform(-0.1, 0.1), 0.0), 1.0))
        if times:
            skips[str(sublayer)] = times
    return skips


def made_vector(name: str, domain: str, dice: random.Random) -> dict[str, Any]:
    number = DOMAINS.index(domain)
    centre = (3.0 * (number % 3), 2.5 * (number // 3))
    return {
        "prompt": name,
        "domain": domain,
        "pca": [dice.gauss(value, 0.5) for value in centre],
        "tsne": [dice.gauss(9 * value, 2.0) for value in centre],
    }


def made_study() -> dict[str, Any]:
    rows = [
        {
            "selector": "static-bo",
            "skips_of": home,
            "domain": domain,
            "speedup_vs_own_ar": 1.45 if home == domain else 1.12 + 0.03 * len(domain) - 0.2,
        }
        for home in DOMAINS
        for domain in DOMAINS
    ]
    return {"title": "Skip sets away from home", "text": "All pairs of domains.", "rows": rows}


def made_bars() -> dict[str, Any]:
    """A study whose rows are bars."""
    return {
        "title": "What is lost",
        "text": "How much is lost?",
        "answer": "Little.",
        "shows": {"kind": "bars", "value": "regret", "labels": ["domain"]},
        "rows": [{"domain": d, "regret": 0.01 * i} for i, d in enumerate(DOMAINS)],
    }


def made_lines() -> dict[str, Any]:
    """A study whose rows are steps in time."""
    ways = ("knapsack", "local search", "Bayesian optimisation")
    return {
        "title": "What searching costs",
        "text": "How long does it take?",
        "answer": "Not long.",
        "shows": {
            "kind": "lines",
            "x": "seconds",
            "y": "speed-up",
            "series": ["way"],
            "points": "curve",
            "steps": True,
            "log_x": True,
        },
        "rows": [
            {"way": way, "curve": [[0.5 * 4**i * (1 + n), 1.0 + 0.2 * i] for i in range(4)]}
            for n, way in enumerate(ways)
        ],
    }


def small_results() -> dict[str, Any]:
    """Of few contenders, with one prompt a domain."""
    names = ("autoregressive", "knn-ssd", "knap-knn", "transformers")
    paces = {key: pace for key, pace in PACES.items() if key[0] in names}
    return made_results(contexts=(0,), per_domain=1, repeats=1, paces=paces)


def with_paces(**changes: float) -> Comparison:
    """Contenders of the given paces beside the baselines."""
    paces = {
        key: pace for key, pace in PACES.items() if key[0] in ("autoregressive", "transformers")
    }
    paces |= {(name.replace("_", "-"), "best"): pace for name, pace in changes.items()}
    return Comparison(made_results((0,), per_domain=2, repeats=2, paces=paces))
