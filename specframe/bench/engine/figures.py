"""`specframe bench engine`: the executor and the decode loop on random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from specframe.bench.engine import shapes
from specframe.bench.engine.bandwidth import best_bandwidth
from specframe.bench.engine.decoding import FUSED, LIBRARY, decode_trials
from specframe.bench.engine.forward import VERIFY_8, forward_ms
from specframe.bench.engine.memory import measure_memory
from specframe.bench.engine.overhead import measure_overhead
from specframe.bench.fingerprint import fingerprint
from specframe.bench.timing import bootstrap, in_turns, median, ratio_of_medians
from specframe.errors import InvalidRequest
from specframe.executors.device import require_device
from specframe.executors.load import load_executor
from specframe.prompts.random import random_prompts

__all__ = ["MEANING", "EngineOptions", "bench_engine", "engine_options"]

CONTEXT = 200
OVERHEAD_TURNS = 3

MEANING = {
    "forward_ms": "median ms of one walk after 200 tokens, by skipped share, then by rows",
    "ar_vs_transformers": "tokens/s of fused autoregressive decoding over the faster library cache",
    "tokens_per_second": "greedy decoding after a 200-token prompt, by arm, medians of blocks",
    "bandwidth_share": "bytes of weights read per token x fused tokens/s, over the best bandwidth",
    "bandwidth_bytes_per_second": "what plain readers of memory reach on this machine",
    "verify8_over_1": "ms of verifying 8 drafted tokens (9 rows) over ms of one token",
    "overhead_share": "1 - seconds inside the executor's walks / wall seconds of the decode loop",
    "overhead": "the loop behind overhead_share: half skipped, 6 drafts, 128 tokens, all accepted",
    "memory": "bytes a generation of 1,500 + 128 tokens adds to the loaded model at its peak",
}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What is measured, and where."""

    shape: shapes.BenchShape
    threads: int
    device: torch.device

    @property
    def finish(self) -> Callable[[], object]:
        """Waits until the device has done all its work; on a CPU there is nothing to wait for."""
        return torch.cuda.synchronize if self.device.type == "cuda" else lambda: None


def engine_options(shape: str, threads: int | None, device: str) -> EngineOptions:
    """Options from what the user typed."""
    if threads is not None and threads < 1:
        raise InvalidRequest(f"The number of threads must be at least 1. Got {threads} instead.")
    place = require_device(device)
    return EngineOptions(shapes.named_shape(shape), threads or torch.get_num_threads(), place)


def bench_engine(options: EngineOptions) -> dict[str, Any]:
    """All figures of one shape; a few minutes."""
    torch.set_num_threads(options.threads)
    shape, device = options.shape, options.device
    memory = measure_memory(shape, options.threads, device.type)
    bandwidth = best_bandwidth(device, options.finish)
    model = shapes.random_model(shape, device)
    prompt = random_prompts(shape.vocabulary, CONTEXT, 1)[0].tokens
    executor = load_executor(model)
    forwards = forward_ms(executor, prompt, options.finish, shape.turns)
    decoding = _decoding(model, prompt, options)
    read = shapes.weight_bytes(model, read_per_token=True)
    skips = shapes.spread_skips(shape.layers, 0.5)
    shapes.plant(model, skips)
    overhead = measure_overhead(executor, prompt, skips, options.finish, OVERHEAD_TURNS)
    return {
        "schema_version": 1,
        "shape": asdict(shape),
        "environment": fingerprint(device),
        "forward_ms": forwards,
        "verify8_over_1": forwards["0"][str(VERIFY_8)] / forwards["0"]["1"],
        **decoding,
        "weight_bytes": {"all": shapes.weight_bytes(model), "read_per_token": read},
        "bandwidth_bytes_per_second": bandwidth,
        "bandwidth_share": read * decoding["tokens_per_second"][FUSED] / max(bandwidth.values()),
        "overhead_share": overhead.pop("share"),
        "overhead": overhead,
        "memory": memory
        and {**asdict(memory), "over_keys_and_values": memory.over_keys_and_values},
        "meaning": MEANING,
    }


def _decoding(model: Any, prompt: Sequence[int], options: EngineOptions) -> dict[str, Any]:
    """Tokens a second by arm, and fused over the faster of transformers' two."""
    shape = options.shape
    trials = decode_trials(model, prompt, shape.block_tokens, options.finish)
    seconds = in_turns(trials, shape.blocks)
    faster = min(LIBRARY, key=lambda arm: median(seconds[arm]))
    pairs = list(zip(seconds[faster], seconds[FUSED], strict=True))
    interval = bootstrap(pairs, ratio_of_medians)
    return {
        "ar_vs_transformers": interval.value,
        "ar_vs_transformers_interval": [interval.low, interval.high],
        "faster_library_cache": faster,
        "tokens_per_second": {
            arm: shape.block_tokens / median(times) for arm, times in seconds.items()
        },
    }
