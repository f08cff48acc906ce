"""`specframe bench engine`: the executor and the decode loop alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from specframe.bench.engine import shapes
from specframe.bench.engine.bandwidth import best_bandwidth, reading
from specframe.bench.engine.decoding import FUSED, LIBRARY, decode_trials
from specframe.bench.engine.forward import VERIFY_8, forward_ms
from specframe.bench.engine.memory import measure_memory, require_room
from specframe.bench.engine.operations import operations_of_token, products_ms
from specframe.bench.engine.overhead import measure_overhead
from specframe.bench.engine.peers import read_peers
from specframe.bench.fingerprint import fingerprint
from specframe.bench.timing import bootstrap, in_turns, median, ratio_of_medians, seconds_of
from specframe.doors.loading import load
from specframe.errors import InvalidRequest
from specframe.executors.device import compute_with, require_device, require_dtype
from specframe.executors.executor import Executor, chain_step
from specframe.executors.load import load_executor
from specframe.prompts.random import random_prompts

__all__ = ["MEANING", "EngineOptions", "bench_engine", "engine_options"]

CONTEXT = 200
MEMORY = "memory"  # read in turns with decoding
OVERHEAD_TURNS = 3

MEANING = {
    "forward_ms": "median ms of one walk after 200 tokens, by skipped share, then by rows",
    "ar_vs_transformers": "tokens/s of fused autoregressive decoding over the faster library cache",
    "tokens_per_second": "greedy decoding after a 200-token prompt, by arm, medians of blocks",
    "bandwidth_share": "fused tokens/s over limit_tokens_per_second, both in the same turns",
    "bandwidth_bytes_per_second": "memory bandwidth that plain readers reach here, best turn",
    "limit_tokens_per_second": "bytes/s of the best reader over the weights read per token",
    "peers": "ms per token of another program with the same weights, from --peer-json",
    "products_ms": "median ms of the matrix products of one token, with nothing between them",
    "outside_products_share": "1 - products_ms over ms of one token",
    "operations": "ms and calls per token of each operation, if --profile is given",
    "verify8_over_1": "ms of verifying 8 drafted tokens (9 rows) over ms of one token",
    "overhead_share": "1 - seconds inside the executor's walks / wall seconds of the decode loop",
    "overhead": "the loop of overhead_share: half skipped, 6 drafts, 128 tokens, all accepted",
    "memory": "bytes a generation of 1,500 + 128 tokens adds to the loaded model at its peak",
}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What is measured, and where."""

    shape: shapes.BenchShape
    threads: int
    device: torch.device
    profile: bool = False  # record every operation of a token
    peers: Mapping[str, float] = field(default_factory=dict)  # ms per token by name

    @property
    def finish(self) -> Callable[[], object]:
        """Waits until the device has done all its work; on a CPU there is nothing to wait for."""
        return torch.cuda.synchronize if self.device.type == "cuda" else lambda: None


def engine_options(
    shape: str | None,
    model: str | None,
    threads: int | None,
    device: str,
    profile: bool = False,
    peers: Path | None = None,
    dtype: str = "auto",
) -> EngineOptions:
    """Options from what the user typed."""
    if shape is not None and model is not None:
        raise InvalidRequest(
            f"--shape {shape} means random weights, and --model {model} the weights of a model. "
            f"Give one."
        )
    compute_with(threads)
    require_dtype(dtype)
    place, compared = require_device(device), read_peers(peers)
    if model:
        found = shapes.shape_of(model, load(model, dtype=dtype).model)
    else:
        found = shapes.named_shape(shape or "19M")
    found = replace(found, dtype=dtype)
    require_room(found)
    threads = threads or torch.get_num_threads()
    return EngineOptions(found, threads, place, profile, compared)


def bench_engine(options: EngineOptions) -> dict[str, Any]:
    """All figures of one shape; a few minutes."""
    torch.set_num_threads(options.threads)
    shape, device = options.shape, options.device
    memory = measure_memory(shape, options.threads, device.type)
    bandwidth = best_bandwidth(device, options.finish)
    model = shapes.build(shape, device)
    prompt = random_prompts(shape.vocabulary, CONTEXT, 1)[0].tokens
    executor = load_executor(model)
    forwards = forward_ms(executor, prompt, options.finish, shape.turns)
    products = products_ms(executor, options.finish, shape.turns)
    read = shapes.weight_bytes(model, read_per_token=True)
    decoding = _decoding(model, prompt, options, read, max(bandwidth, key=bandwidth.__getitem__))
    operations = _operations(executor, prompt) if options.profile else None
    skips = shapes.spread_skips(shape.layers, 0.5)
    shapes.plant(model, skips)
    overhead = measure_overhead(executor, prompt, skips, options.finish, OVERHEAD_TURNS)
    return {
        "schema_version": 1,
        "shape": asdict(shape),
        "environment": fingerprint(device),
        "forward_ms": forwards,
        "verify8_over_1": forwards["0"][str(VERIFY_8)] / forwards["0"]["1"],
        "products_ms": products,
        "outside_products_share": 1.0 - products / forwards["0"]["1"],
        "operations": operations,
        **decoding,
        "weight_bytes": {"all": shapes.weight_bytes(model), "read_per_token": read},
        "bandwidth_bytes_per_second": bandwidth,
        "peers": dict(options.peers),
        "overhead_share": overhead.pop("share"),
        "overhead": overhead,
        "memory": memory
        and {**asdict(memory), "over_keys_and_values": memory.over_keys_and_values},
        "meaning": MEANING,
    }


def _operations(executor: Executor, prompt: Sequence[int]) -> dict[str, dict[str, float]]:
    cache = executor.new_cache(len(prompt) + 1)
    executor.walk(chain_step(prompt, 0, executor.device), cache, rows=None)
    cache.commit(range(len(prompt)))
    return operations_of_token(executor, cache)


def _decoding(
    model: Any, prompt: Sequence[int], options: EngineOptions, read: int, reader: str
) -> dict[str, Any]:
    """Tokens per second by arm; fused relative to the faster cache of transformers and to memory.

    `read`: bytes of weights that are read for each token. Memory is read in the same turns, since
    other programs may slow it down for a while.
    """
    shape = options.shape
    work, size = reading(reader, options.device)
    seconds = in_turns(
        {
            **decode_trials(model, prompt, shape.block_tokens, options.finish),
            MEMORY: seconds_of(work, options.finish),
        },
        shape.blocks,
    )
    limits = [size / taken / read for taken in seconds.pop(MEMORY)]
    share = median(
        [
            shape.block_tokens / taken / limit
            for taken, limit in zip(seconds[FUSED], limits, strict=True)
        ]
    )
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
        "bandwidth_share": share,
        "limit_tokens_per_second": median(limits),
    }
