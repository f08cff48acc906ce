"""The parts of a walk: attention, products, small operations, launches, waits."""

from __future__ import annotations

import re
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch

from gpu_figures.bench import PROMPT, Bench, or_error
from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.compiling import compiled
from specframe.executors.executor import chain_step
from specframe.executors.fused.attention import attend, attend_fused
from specframe.executors.graphs.storage import ROWS, bucket_of
from specframe.executors.low_bit import lower, round_floats
from specframe.types import DraftPlan, SkipSet, StopRule


def attention(bench: Bench) -> dict[str, Any]:
    """Microseconds of one layer's attention over 16 rows, by context and way."""
    shape, device, dtype = bench.shape, bench.device, bench.eager.dtype
    group = shape.heads // shape.kv_heads
    found: dict[str, Any] = {}
    for context in (200,) if bench.tiny else (200, 500, 1000, 2000, 4000, 16000):
        columns = bucket_of(context)
        data = [
            torch.randn(2 * shape.kv_heads, columns, shape.head_size, device=device, dtype=dtype)
            for _ in range(6)
        ]
        query = torch.randn(
            shape.kv_heads, ROWS * group, shape.head_size, device=device, dtype=dtype
        )
        mask = torch.zeros(ROWS * group, columns, device=device, dtype=dtype)
        mask[:, context:] = float("-inf")

        def calls(way: Any, data: Any = data, query: Any = query, mask: Any = mask) -> Any:
            return [
                partial(way, query, *each.split(shape.kv_heads), mask, shape.head_size**-0.5)
                for each in data
            ]

        ways = {"products": attend, "sdpa": attend_fused}
        found[str(context)] = {
            name: or_error(partial(bench.device_us, calls(way))) for name, way in ways.items()
        }
        if device.type == "cuda":
            from torch.nn.attention import SDPBackend, sdpa_kernel

            for backend in ("EFFICIENT_ATTENTION", "CUDNN_ATTENTION"):
                with sdpa_kernel(getattr(SDPBackend, backend)):
                    found[str(context)][backend.lower()] = or_error(
                        partial(bench.device_us, calls(attend_fused))
                    )
    return found


def products(bench: Bench) -> dict[str, Any]:
    """Microseconds of each of a layer's products, and GB/s, by rows; low-bit ones as well."""
    found: dict[str, Any] = {}
    layers = bench.graphed._model.layers[:8]
    for part in ("qkv", "output", "gate_up", "down"):
        linears = [getattr(layer, part) for layer in layers]
        size = linears[0].weight.numel() * linears[0].weight.element_size()
        found[part] = {}
        ways: dict[str, Any] = {"full": linears}
        for bits in (4, 8):
            ways[f"{bits}-bit"] = [lower(each.weight, each.bias, bits) for each in linears[:4]]
        for name, every in ways.items():
            for rows in (1, 2, 16, 32) if name == "full" else (1, 16):
                x = torch.randn(
                    rows, linears[0].weight.shape[1], device=bench.device, dtype=bench.eager.dtype
                )
                us = or_error(partial(bench.device_us, [partial(each, x) for each in every]))
                found[part][f"{name} {rows}"] = us
        full = found[part]["full 16"]
        found[part]["full 16 GB/s"] = size / full / 1e3 if isinstance(full, float) else None
    return found


def small_operations(bench: Bench) -> dict[str, Any]:
    """Microseconds of the operations between products, of 16 rows."""
    executor, shape = bench.graphed, bench.shape
    x = torch.randn(ROWS, shape.hidden, device=bench.device, dtype=executor.dtype)
    layer = executor._model.layers[0]
    wide = torch.randn(ROWS, 2 * shape.intermediate, device=bench.device, dtype=executor.dtype)
    parts = shape.heads + 2 * shape.kv_heads
    fused = torch.randn(ROWS, parts, shape.head_size, device=bench.device, dtype=executor.dtype)
    turns = fused[:, :1].contiguous()
    logits = torch.randn(1, shape.vocabulary, device=bench.device, dtype=executor.dtype)
    calls: dict[str, Callable[[], Any]] = {
        "add": lambda: torch.add(x, x),
        "quantise": lambda: compiled(round_floats, bench.device)(x),
        "head 16": lambda: executor.logits(x[None]),
        "head 1": lambda: executor.logits(x[None, :1]),
    }
    for name, small in (("plain", bench.plain.small), ("compiled", executor.small)):
        score = small.top(logits)[1]
        calls |= {
            f"{name} norm": partial(small.norm, x, layer.mlp_norm, 1e-5),
            f"{name} gate": partial(small.gate, wide),
            f"{name} turn": partial(
                small.turn, fused, turns, turns, None, 1e-5, shape.heads, shape.kv_heads
            ),
            f"{name} top": partial(small.top, logits),
            f"{name} confident": partial(small.confident, logits, score),
        }
    return {name: or_error(partial(bench.device_us, [call] * 8)) for name, call in calls.items()}


def capturing(bench: Bench) -> dict[str, Any]:
    """Milliseconds of a capture and the memory of one recording."""
    executor = bench.graphed
    cache = bench.filled(executor, PROMPT)
    step = chain_step(bench.prompt(1), PROMPT, bench.device)
    times, memory = [], []
    for k in range(4):
        skips = SkipSet.from_sublayers(bench.shape.layers, [2 * k + 1])
        executor.walk(step, cache, skips)
        bench.sync()
        before = _reserved(bench)
        begun = perf_counter()
        executor.walk(step, cache, skips)
        bench.sync()
        times.append(1e3 * (perf_counter() - begun))
        memory.append((_reserved(bench) - before) / 2**20)
    return {"capture_ms": min(times), "graph_mib": statistics.mean(memory)}


def _reserved(bench: Bench) -> int:
    return torch.cuda.memory_reserved(bench.device) if bench.device.type == "cuda" else 0


def syncs(bench: Bench, skips: SkipSet) -> dict[str, Any]:
    """Synchronisations reported by torch in a round of drafting, verifying and committing."""
    if bench.device.type != "cuda":
        return {"autoregressive_token": None, "draft_of_6": None, "confident_draft_of_6": None}
    plans = {
        "autoregressive_token": bench.autoregressive(),
        "draft_of_6": DraftPlan(skips, StopRule(6)),
        "confident_draft_of_6": DraftPlan(skips, StopRule(6, confidence=1e-9)),
    }
    found: dict[str, Any] = {}
    for name, plan in plans.items():
        law, limits = Law(), Limits(60)
        rounds = Engine(bench.graphed, ConstantPlan(plan), law, limits).rounds(bench.prompt())
        for _ in range(4):
            next(rounds)
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            next(rounds)
        torch.cuda.set_sync_debug_mode("default")
        found[name] = sum("synchroniz" in str(each.message) for each in seen)
    for name in list(found)[1:]:
        found[f"{name}: per step"] = (found[name] - found["autoregressive_token"]) / 6
    return found


def launches(bench: Bench) -> dict[str, Any]:
    """Kernels of a walk of one row, as the profiler counts them, and the most expensive ones."""
    from torch.profiler import ProfilerActivity, profile

    found: dict[str, Any] = {}
    for name, executor in (("eager", bench.eager), ("graph_compiled", bench.graphed)):
        cache = bench.filled(executor, PROMPT)
        step = chain_step(bench.prompt(1), PROMPT, bench.device)
        for _ in range(3):
            executor.walk(step, cache)
        bench.sync()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            executor.walk(step, cache)
            bench.sync()
        events = [e for e in seen.key_averages() if str(e.device_type).endswith("CUDA")]
        slow = sorted(events, key=lambda e: -e.self_device_time_total)[:14]
        found[name] = {
            "kernels": sum(e.count for e in events),
            "device_us": sum(e.self_device_time_total for e in events),
            "slowest": [[e.key[:90], e.count, e.self_device_time_total] for e in slow],
            "attention": [e.key[:60] for e in events if re.search("sdpa|fmha|flash|atten", e.key)],
        }
    return found
