"""Walks, drafts and whole generations."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from gpu_figures.bench import PROMPT, Bench, or_error, weight_bytes
from specframe.executors.executor import LAST_ROW
from specframe.executors.filling import fill_cache
from specframe.types import DraftPlan, SkipSet, StopRule


def walks(bench: Bench) -> dict[str, Any]:
    contexts = (200,) if bench.tiny else (200, 4000, 16000)
    found: dict[str, Any] = {}
    for context in contexts:
        found[str(context)] = {
            rows: bench.walk_ms(bench.graphed, rows, context) for rows in (1, 2, 9, 16, 32)
        }
    found["eager_200"] = {rows: bench.walk_ms(bench.eager, rows, 200) for rows in (1, 9)}
    ratio = bench.walk_ms(bench.graphed, 8, 200) / found["200"][1]
    return {"walk_ms": found, "verify8_over_1": ratio}


def gap(bench: Bench, ms_per_token: float) -> dict[str, Any]:
    """The part of a token's time in which the device waits for the host."""
    device = bench.walk_ms(bench.graphed, 1, PROMPT)
    return {
        "step_gap_us": 1e3 * (ms_per_token - device),
        "overhead_share": 1 - device / ms_per_token,
        "walk_ms": device,
    }


def prefill(bench: Bench, length: int = 2000) -> dict[str, Any]:
    length = 100 if bench.tiny else length
    tokens = bench.prompt(length)

    def ours() -> None:
        cache = bench.graphed.new_cache(length + 8)
        for _ in fill_cache(bench.graphed, cache, tokens, rows=LAST_ROW):
            pass

    @torch.no_grad()
    def theirs() -> None:
        bench.model(torch.tensor([tokens], device=bench.device), logits_to_keep=1)

    return {
        "tokens": length,
        "seconds": bench.ms(ours, 1) / 1e3,
        "transformers": bench.ms(theirs, 1) / 1e3,
    }


def draft_ms(bench: Bench, skips: SkipSet, steps: int = 6) -> float:
    """Milliseconds of a draft step, its share of the read included."""
    cache = bench.filled(bench.graphed, PROMPT)
    plan = DraftPlan(skips, StopRule(steps))

    def draft() -> None:
        chain = bench.graphed.chain(cache, plan, {skips.prefix})
        assert chain is not None
        chain.begin([1])
        for _ in range(steps):
            chain.next()

    return bench.ms(draft, 1 if bench.tiny else 3) / steps


def low_bit_ms(bench: Bench) -> dict[str, Any]:
    """Milliseconds of a draft step on low-bit weights, by bits, with a full or low-bit head."""
    every = SkipSet.none(bench.shape.layers)
    found: dict[str, Any] = {"full": draft_ms(bench, every)}
    for bits in (4, 8):
        for head in (False, True):
            skips = every.lower(bits, head=head)
            name = f"{bits}{' and head' if head else ''}"
            found[name] = or_error(partial(draft_ms, bench, skips))
    found["copies_gib"] = bench.graphed.low_bytes / 2**30
    return found


def planted(
    bench: Bench, skips: SkipSet, drafts: int, own: dict[str, float], static: Any
) -> dict[str, Any]:
    """Generation with this skip set, against the executor's own decoding and transformers'."""
    found: dict[str, Any] = bench.speed(bench.graphed, DraftPlan(skips, StopRule(drafts)))
    walk = draft_ms(bench, skips)
    full = bench.walk_ms(bench.graphed, 1 + drafts, PROMPT)
    alone = bench.walk_ms(bench.graphed, 1, PROMPT)
    mean = found["tokens_per_round"]
    found |= {
        "skip_share": len(skips) / skips.size,
        "drafts": drafts,
        "low_bits": skips.low_bits,
        "draft_step_ms": walk,
        "verify_over_1": full / alone,
        "predicted": mean * alone / (drafts * walk + full),
        "vs_own_ar": found["tokens_per_second"] / own["tokens_per_second"],
    }
    if static:
        found["vs_static"] = found["tokens_per_second"] / static["tokens_per_second"]
    return found


def memory(bench: Bench) -> dict[str, Any]:
    if bench.device.type != "cuda":
        return {"allocated_gib": None, "reserved_gib": None, "weights_gib": None}
    return {
        "allocated_gib": torch.cuda.max_memory_allocated(bench.device) / 2**30,
        "reserved_gib": torch.cuda.max_memory_reserved(bench.device) / 2**30,
        "weights_gib": weight_bytes(bench) / 2**30,
    }
