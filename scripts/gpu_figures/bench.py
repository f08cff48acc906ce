"""One planted model and the time its executors take."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch

from specframe.contract.constant_plan import ConstantPlan
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.executors.executor import chain_step
from specframe.executors.fused.executor import FusedExecutor
from specframe.executors.graphs.executor import GraphedExecutor
from specframe.executors.graphs.recorder import CudaRecorder, ReplayRecorder
from specframe.executors.load import load_executor
from specframe.testing.planted import falling_noise, planted_llama
from specframe.types import DraftPlan, ModelShape, SkipSet, StopRule

NOISE = {"8B": 0.85}  # about 0.9 of the tokens are accepted with half of the sublayers skipped
PROMPT, NEW = 200, 128
SEED = 0


class Bench:
    """One planted model and its measurements."""

    def __init__(self, name: str, shape: ModelShape, args: argparse.Namespace) -> None:
        self.shape, self.device, self.tiny = shape, torch.device(args.device), args.tiny
        dtype = torch.float32 if args.tiny else torch.bfloat16
        size = NOISE.get(name, 1.0)
        noise = {i: size * part for i, part in falling_noise(shape.layers).items()}
        self.model = planted_llama(shape, noise, dtype=dtype, device=self.device)
        self.device = self.model.device
        recorder = CudaRecorder(self.device) if args.recorder == "cuda" else ReplayRecorder()
        self.plain = GraphedExecutor(self.model, recorder)
        chosen = load_executor(self.model)  # the default executor; on a CPU, the fused one
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
        """Tokens per second over prompts, after a warm-up."""
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
        """transformers' generate, from the difference of a long and a short generation."""
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
        """A cache with this many tokens, whose keys and values are zeros."""
        cache = executor.new_cache(length + room)
        cache.length = length
        return cache

    def walk_ms(self, executor: Any, count: int, context: int, **kwargs: Any) -> float:
        cache = self.filled(executor, context)
        step = chain_step(self.prompt(count), context, self.device)
        return self.ms(lambda: executor.walk(step, cache, **kwargs))

    def ms(self, call: Callable[[], Any], turns: int = 10) -> float:
        """Milliseconds of one call if many are queued."""
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
        """Mean microseconds of these calls without launches: all are captured in one graph."""
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


def weight_bytes(bench: Bench) -> int:
    """Bytes read per token: all weights but the embedding, which is not tied."""
    model = bench.model
    every = sum(p.numel() * p.element_size() for p in model.parameters())
    embedding = model.model.embed_tokens.weight
    return every - embedding.numel() * embedding.element_size()


def or_error(measure: Callable[[], float]) -> Any:
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - a failure must not stop the other measurements
        return f"{type(error).__name__}: {error}"[:300]
