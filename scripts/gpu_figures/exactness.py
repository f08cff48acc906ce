"""Whether tokens and logits are those of autoregressive decoding."""

from __future__ import annotations

from typing import Any

import torch

from gpu_figures.bench import PROMPT, Bench
from specframe.core.divergence import first_divergence
from specframe.executors.exactness import check_exactness
from specframe.executors.executor import chain_step
from specframe.executors.filling import fill_cache
from specframe.executors.graphs.storage import bucket_of
from specframe.types import DraftPlan, SkipSet, StopRule


def graph_against_eager(bench: Bench) -> dict[str, Any]:
    """Logits of the eager and the graphed executor over the same tokens."""
    tokens = bench.prompt(PROMPT + 48)
    found = {}
    logits = []
    for executor in (bench.eager, bench.graphed):
        cache = executor.new_cache(len(tokens) + 1)
        for _ in fill_cache(executor, cache, tokens[:PROMPT]):
            pass
        rows = []
        for at in range(PROMPT, PROMPT + 40):
            rows.append(executor.walk(chain_step([tokens[at]], at, bench.device), cache).logits[0])
            cache.commit([0])
        logits.append(torch.cat(rows).float())
    gap = (logits[0] - logits[1]).abs().amax()
    best = logits[0].topk(2).values
    tops = logits[0].argmax(-1) == logits[1].argmax(-1)
    found["largest_difference"] = float(gap)
    found["tops_equal"] = float(tops.float().mean())
    found["gaps_where_tops_differ"] = (best[:, 0] - best[:, 1])[~tops].tolist()[:10]
    found["graphs"] = bench.graphed.graphs
    return found


def exact(bench: Bench, prompts: int, skips: SkipSet) -> dict[str, Any]:
    """Speculative against autoregressive decoding on the graphed executor, token for token."""
    plans = {
        "fixed": DraftPlan(skips, StopRule(6)),
        "confidence": DraftPlan(skips, StopRule(8, confidence=0.5)),
    }
    ends = [bucket_of(PROMPT) - 30, bucket_of(1000) - 30, 2030]
    lengths = [30, 100, PROMPT, *ends] if not bench.tiny else [30, 240]
    same = near = far = cases = 0
    gaps = []
    for seed in range(prompts):
        prompt = bench.prompt(lengths[seed % len(lengths)], seed)
        plain, _, _ = bench.generate(bench.graphed, bench.autoregressive(), prompt, bench.new)
        for plan in plans.values():
            tokens, _, _ = bench.generate(bench.graphed, plan, prompt, bench.new)
            cases += 1
            found = first_divergence(bench.graphed, prompt, plain, tokens)
            if found is None:
                same += 1
                continue
            near += found.near_tie
            far += not found.near_tie
            gaps.append({"context": len(prompt) + found.position, "gap": found.gap})
    return {
        "cases": cases,
        "share_vs_own_ar": same / cases,
        "near_ties": near,
        "not_near_ties": far,
        "gaps": gaps[:20],
    }


def statement(bench: Bench) -> dict[str, Any]:
    found = check_exactness(bench.graphed)
    return {"rows_equal": found.exact, "statement": found.statement}


def rows_equal(bench: Bench) -> dict[str, Any]:
    """By context and number of rows: rows whose logits differ from those of single walks."""
    contexts = (5, 250, 1000, 2040, 8180) if not bench.tiny else (5, 250)
    found: dict[str, Any] = {}
    for context in contexts:
        tokens = bench.prompt(context + 16, 3)
        cache = bench.graphed.new_cache(context + 80)
        for _ in fill_cache(bench.graphed, cache, tokens[:context]):
            pass
        device = bench.device
        together = {
            rows: bench.graphed.walk(
                chain_step(tokens[context : context + rows], context, device), cache
            ).logits[0]
            for rows in (2, 5, 9, 16)
        }
        single = []
        for at in range(context, context + 16):
            step = chain_step([tokens[at]], at, device)
            single.append(bench.graphed.walk(step, cache).logits[0])
            cache.commit([0])
        alone = torch.cat(single)
        found[str(context)] = {
            rows: int((block != alone[:rows]).any(-1).sum()) for rows, block in together.items()
        }
    return found
