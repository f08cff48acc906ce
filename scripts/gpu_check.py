"""Measures the executor for GPUs on this machine and writes what it finds as JSON.

    python scripts/gpu_check.py --json gpu.json
    python scripts/gpu_check.py --device cpu --recorder replay --tiny --json gpu.json

Models have planted weights, so that nothing is downloaded. Every measurement is written as soon as
it is made; one that fails leaves its traceback. The second command is a rehearsal on a CPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.divergence import first_divergence
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.compiling import compiled
from specframe.executors.exactness import check_exactness
from specframe.executors.executor import LAST_ROW, chain_step
from specframe.executors.filling import fill_cache
from specframe.executors.fused.attention import attend, attend_fused
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.graphs.executor import GraphedExecutor
from specframe.executors.graphs.recorder import CudaRecorder, ReplayRecorder
from specframe.executors.graphs.storage import ROWS, bucket_of
from specframe.executors.load import load_executor
from specframe.executors.low_bit import lower, round_floats
from specframe.testing.planted import falling_noise, planted_llama, planted_skips
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

SHAPES = {
    "1.1B": ModelShape(22, 2048, 32000, 32, 4, 64, 5632, 20480),
    "8B": ModelShape(32, 4096, 128256, 32, 8, 128, 14336, 20480),
}
TINY = {"tiny": ModelShape(4, 64, 256, 4, 2, 16, 128, 2048)}
NOISE = {"8B": 0.85}  # with it, half of the sublayers skipped, about 0.9 of the tokens are right
PROMPT, NEW = 200, 128
SEED = 0


class Report:
    """Findings by key, written after each one; keys without a finding are None."""

    def __init__(
        self, path: Path, minutes: float, known: Path | None = None, only: Sequence[str] = ()
    ) -> None:
        self._path, self._end = path, perf_counter() + 60 * minutes
        self._only = tuple(only)
        self.found: dict[str, Any] = {}
        if known is not None:
            self.found = json.loads(known.read_text(encoding="utf-8"))

    def left(self) -> float:
        """Seconds."""
        return self._end - perf_counter()

    def take(self, keys: str, seconds: float, measure: Callable[[], Any]) -> Any:
        """Measure unless time is short; `keys` is a path such as `8B|memory`, or `8B|*`."""
        begun = perf_counter()
        if self._only and not keys.partition("|")[2].startswith(self._only):
            return self._known(keys)
        if self.left() < seconds:
            self._put(keys, {"skipped": f"{self.left():.0f} s left, {seconds:.0f} s needed"})
            return None
        found = None
        try:
            found = measure()
            self._put(keys, found)
        except Exception:  # noqa: BLE001 - one failure must not lose the others
            self._put(keys, {"error": traceback.format_exc(limit=-6)})
            print(traceback.format_exc(limit=-3), flush=True)
        text = json.dumps(found)
        print(f"[{perf_counter() - begun:6.1f} s] {keys}: {text[:400]}", flush=True)
        return found

    def _known(self, keys: str) -> Any:
        here: Any = self.found
        for key in keys.split("|"):
            here = here.get(key, {})
        return here or None

    def _put(self, keys: str, value: Any) -> None:
        *folders, last = keys.split("|")
        here = self.found
        for folder in folders:
            here = here.setdefault(folder, {})
        if last == "*" and "error" not in value and "skipped" not in value:
            here.update(value)
        else:
            here[last] = value
        self._path.write_text(json.dumps(self.found, indent=1), encoding="utf-8")


class Bench:
    """One planted model and what is measured of it."""

    def __init__(self, name: str, shape: ModelShape, args: argparse.Namespace) -> None:
        self.shape, self.device, self.tiny = shape, torch.device(args.device), args.tiny
        dtype = torch.float32 if args.tiny else torch.bfloat16
        size = NOISE.get(name, 1.0)
        noise = {i: size * part for i, part in falling_noise(shape.layers).items()}
        self.model = planted_llama(shape, noise, dtype=dtype, device=self.device)
        self.device = self.model.device
        recorder = CudaRecorder(self.device) if args.recorder == "cuda" else ReplayRecorder()
        self.plain = GraphedExecutor(self.model, recorder)
        chosen = load_executor(self.model)  # what users get; on a CPU, the fused one
        self.graphed: Any = chosen if args.recorder == "cuda" else self.plain
        self.eager = FusedExecutor(self.model)
        self.new = 24 if args.tiny else NEW

    def sync(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def prompt(self, length: int = PROMPT, seed: int = SEED) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(self.shape.vocabulary, (length,), generator=generator).tolist()

    def generate(self, executor: Any, plan: DraftPlan, prompt: Sequence[int], new: int) -> Any:
        """New tokens, rounds after the first, their wall-clock seconds."""
        law, limits = Law(), Limits(new)
        rounds = Engine(executor, ConstantPlan(plan), law, limits).rounds(prompt)
        first = next(rounds)
        self.sync()
        begun = perf_counter()
        rest = list(rounds)
        self.sync()
        seconds = perf_counter() - begun
        return [*first.tokens, *(t for done in rest for t in done.tokens)], rest, seconds

    def autoregressive(self) -> DraftPlan:
        return DraftPlan(SkipSet.none(self.shape.layers), StopRule(0), capture=False)

    def speed(self, executor: Any, plan: DraftPlan, turns: int = 3) -> dict[str, float]:
        """Tokens per second over prompts, each after one that warms up."""
        for _ in range(2):
            self.generate(executor, plan, self.prompt(), self.new + 1)
        rounds, seconds, tokens = [], [], 0
        for turn in range(turns):
            new, found, took = self.generate(executor, plan, self.prompt(seed=turn), self.new + 1)
            seconds.append(took)
            rounds += found
            tokens += len(new) - 1
        drafted = sum(done.outcome.drafted for done in rounds)
        accepted = sum(done.outcome.accepted for done in rounds)
        refused = sum(done.outcome.accepted < done.outcome.drafted for done in rounds)
        return {
            "tokens_per_second": tokens / sum(seconds),
            "ms_per_token": 1e3 * sum(seconds) / tokens,
            "spread": max(seconds) / min(seconds) - 1,
            "rounds": len(rounds),
            "tokens_per_round": tokens / len(rounds),
            "acceptance": accepted / drafted if drafted else 0.0,
            "acceptance_of_a_token": accepted / (accepted + refused) if drafted else 0.0,
            "draft_ms": 1e3 * statistics.median(r.outcome.draft_seconds for r in rounds),
            "verify_ms": 1e3 * statistics.median(r.outcome.verify_seconds for r in rounds),
            "select_ms": 1e3 * statistics.median(r.outcome.select_seconds for r in rounds),
        }

    def hf(self, implementation: str | None) -> dict[str, float]:
        """transformers' generate: seconds of a long minus those of a short generation."""
        prompt = torch.tensor([self.prompt()], device=self.device)
        options = {"do_sample": False, "attention_mask": torch.ones_like(prompt)}
        if implementation is not None:
            options["cache_implementation"] = implementation
        short, long = (4, 20) if self.tiny else (16, 16 + self.new)

        def run(new: int) -> float:
            self.sync()
            begun = perf_counter()
            with torch.inference_mode(False), torch.no_grad():
                self.model.generate(prompt, max_new_tokens=new, **options)
            self.sync()
            return perf_counter() - begun

        begun = perf_counter()
        run(long)  # compiles
        run(short)
        warm = perf_counter() - begun
        turns = range(1 if implementation is None else 2)
        shorts, longs = [run(short) for _ in turns], [run(long) for _ in turns]
        per_token = (min(longs) - min(shorts)) / (long - short)
        return {
            "tokens_per_second": 1 / per_token,
            "ms_per_token": 1e3 * per_token,
            "warm_up_seconds": warm,
        }

    def filled(self, executor: Any, length: int, room: int = 80) -> Any:
        """A cache that counts as holding this many tokens; their keys and values are zeros."""
        cache = executor.new_cache(length + room)
        cache.length = length
        return cache

    def walk_ms(self, executor: Any, count: int, context: int, **kwargs: Any) -> float:
        cache = self.filled(executor, context)
        step = chain_step(self.prompt(count), context, self.device)
        return self.ms(lambda: executor.walk(step, cache, **kwargs))

    def ms(self, call: Callable[[], Any], turns: int = 10) -> float:
        """Milliseconds of one call among many that are queued."""
        for _ in range(3):
            call()
        times = []
        for _ in range(3):
            self.sync()
            begun = perf_counter()
            for _ in range(turns):
                call()
            self.sync()
            times.append(1e3 * (perf_counter() - begun) / turns)
        return min(times)

    @torch.inference_mode()
    def device_us(self, calls: Sequence[Callable[[], Any]]) -> float:
        """Microseconds of one of these calls, without launches: all are captured in one graph."""
        if self.device.type != "cuda":
            return 1e3 * self.ms(lambda: [call() for call in calls], 2) / len(calls)
        for call in calls[:2]:
            call()
        self.sync()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in calls:
                call()
        return 1e3 * self.ms(graph.replay, 5) / len(calls)


# -- what is measured --


def environment(device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch.__version__, "python": sys.version.split()[0]}
    import transformers

    found["transformers"] = transformers.__version__
    found["specframe"] = _version()
    if device.type != "cuda":
        return {**found, "device": "cpu", "copy_gb_s": None}
    properties = torch.cuda.get_device_properties(device)
    source = torch.empty(1 << 30, dtype=torch.int32, device=device)
    target = torch.empty_like(source)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    target.copy_(source)
    start.record()
    for _ in range(5):
        target.copy_(source)
    end.record()
    torch.cuda.synchronize()
    size = 5 * 2 * source.numel() * 4
    return {
        **found,
        "device": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": properties.total_memory / 2**30,
        "cuda": torch.version.cuda,
        "cublas_cudnn": [torch.backends.cudnn.version()],
        "copy_gb_s": size / start.elapsed_time(end) / 1e6,
    }


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("specframe")
    except PackageNotFoundError:
        return "from a checkout"


def graph_against_eager(bench: Bench) -> dict[str, Any]:
    """Logits of both executors over the same tokens; replays against the first, eager run."""
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
    """By context and rows: rows of a block whose logits differ from those of single walks."""
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


def weight_bytes(bench: Bench) -> int:
    """Read per token: everything but the embedding, which is not tied."""
    model = bench.model
    every = sum(p.numel() * p.element_size() for p in model.parameters())
    embedding = model.model.embed_tokens.weight
    return every - embedding.numel() * embedding.element_size()


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
            name: _or_error(partial(bench.device_us, calls(way))) for name, way in ways.items()
        }
        if device.type == "cuda":
            from torch.nn.attention import SDPBackend, sdpa_kernel

            for backend in ("EFFICIENT_ATTENTION", "CUDNN_ATTENTION"):
                with sdpa_kernel(getattr(SDPBackend, backend)):
                    found[str(context)][backend.lower()] = _or_error(
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
                us = _or_error(partial(bench.device_us, [partial(each, x) for each in every]))
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
    return {name: _or_error(partial(bench.device_us, [call] * 8)) for name, call in calls.items()}


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
    """Waits for the device that torch reports in a round of drafting, verifying, committing."""
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


def gap(bench: Bench, ms_per_token: float) -> dict[str, Any]:
    """How much of a token's time the device waits for the host."""
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
    """A draft step on low-bit weights, by bits; the head in full and low-bit."""
    every = SkipSet.none(bench.shape.layers)
    found: dict[str, Any] = {"full": draft_ms(bench, every)}
    for bits in (4, 8):
        for head in (False, True):
            skips = every.lower(bits, head=head)
            name = f"{bits}{' and head' if head else ''}"
            found[name] = _or_error(partial(draft_ms, bench, skips))
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


def _or_error(measure: Callable[[], float]) -> Any:
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - as above
        return f"{type(error).__name__}: {error}"[:300]


# -- in order of value --


def measure(name: str, shape: ModelShape, report: Report, args: argparse.Namespace) -> None:
    def take(key: str, seconds: float, call: Callable[[], Any]) -> Any:
        return report.take(f"{name}|{key}", seconds / 20 if args.tiny else seconds, call)

    bench = Bench(name, shape, args)
    own = bench.autoregressive()
    half = planted_skips(shape.layers, 0.5)
    take("graph_against_eager", 10, partial(graph_against_eager, bench))
    take("tokens_per_second|graph", 10, partial(bench.speed, bench.plain, own))
    graph = take("tokens_per_second|graph_compiled", 10, partial(bench.speed, bench.graphed, own))
    take("tokens_per_second|eager", 10, partial(bench.speed, bench.eager, own, 2))
    take("rows_equal", 10, partial(rows_equal, bench))
    if graph:
        take("*", 5, partial(gap, bench, graph["ms_per_token"]))
    take("exact|generations", 20, partial(exact, bench, 6, half))
    take("products", 10, partial(products, bench))
    take("attention_us_by_context", 10, partial(attention, bench))
    take("small_operations_us", 5, partial(small_operations, bench))
    take("launches_per_walk", 8, partial(launches, bench))
    take("syncs_per_draft_step", 5, partial(syncs, bench, half))
    take("*", 5, partial(capturing, bench))
    take("tokens_per_second|hf_dynamic", 20, partial(bench.hf, None))
    take("low_bit_ms", 15, partial(low_bit_ms, bench))
    static = take("tokens_per_second|hf_static_compiled", 70, partial(bench.hf, "static"))
    if graph:
        whole = SkipSet.none(shape.layers)
        drafts = {
            "half": half,
            "eight_bits": whole.lower(8, head=False),
            "half_on_eight_bits": half.lower(8, head=False),
            "half_on_four_bits": half.lower(4, head=False),
        }
        for key, skips in drafts.items():
            take(f"planted|{key}", 12, partial(planted, bench, skips, 6, graph, static))
    take("*", 15, partial(walks, bench))
    take("prefill_seconds", 8, partial(prefill, bench))
    take("exact|statement", 30, partial(statement, bench))
    take("memory", 1, partial(memory, bench))
    take("*", 1, partial(against, report, name, bench))


def against(report: Report, name: str, bench: Bench) -> dict[str, Any]:
    """The ratios that the bars are about."""
    speeds = report.found[name]["tokens_per_second"]
    graph, static = speeds.get("graph_compiled") or {}, speeds.get("hf_static_compiled") or {}
    copy = report.found["environment"].get("copy_gb_s")
    rate = graph.get("tokens_per_second")
    other = static.get("tokens_per_second")
    return {
        "ar_vs_static": rate / other if rate and other else None,
        "bandwidth_share": weight_bytes(bench) * rate / 1e9 / copy if rate and copy else None,
        "weight_gb": weight_bytes(bench) / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--recorder", choices=("cuda", "replay"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--shapes", nargs="*", default=None)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--add", type=Path, help="figures that are kept where none are measured")
    parser.add_argument("--only", nargs="*", default=(), help="beginnings of keys, e.g. planted")
    args = parser.parse_args()
    report = Report(args.json, args.minutes, args.add, args.only)
    report.take("environment", 0, partial(environment, torch.device(args.device)))
    shapes = TINY if args.tiny else SHAPES
    for name in args.shapes or shapes:
        measure(name, shapes[name], report, args)
        torch._dynamo.reset()  # what transformers compiled holds the model
        gc.collect()
        if args.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
