"""Memory of a generation beyond the loaded model, measured in a separate process."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from specframe.bench.engine.shapes import BenchShape, build, weight_bytes
from specframe.errors import InvalidRequest

__all__ = ["MemoryUse", "measure_memory", "require_room"]

PROMPT_TOKENS = 1500
NEW_TOKENS = 128
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"  # written to clear_refs, resets the peak to the current size


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of resident memory (on a GPU: of allocated memory)."""

    growth: int  # peak of a generation minus the size after loading and fusing
    keys_and_values: int
    weights: int
    peak_was_reset: bool  # if not, growth may include the peak of loading

    @property
    def over_keys_and_values(self) -> float:
        """Growth beyond keys and values, as a share of the weights."""
        return (self.growth - self.keys_and_values) / self.weights


def require_room(shape: BenchShape) -> None:
    """Refuse a model with fewer positions than the longest measured text."""
    if shape.positions < PROMPT_TOKENS + NEW_TOKENS:
        raise InvalidRequest(
            f"bench engine generates {NEW_TOKENS} tokens after {PROMPT_TOKENS}, and {shape.name} "
            f"has {shape.positions} positions. Name a model with more."
        )


def measure_memory(shape: BenchShape, threads: int, device: str) -> MemoryUse | None:
    """Generate 128 tokens after 1,500 in a fresh process; None if the system reports no peak."""
    if device == "cpu" and not STATUS.exists():
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(_generate, shape, threads, device).result()


def _generate(shape: BenchShape, threads: int, device: str) -> MemoryUse:
    from specframe.contract.registry import strategy_class
    from specframe.core.engine import Engine, Limits
    from specframe.core.sampling import Law
    from specframe.executors.load import load_executor

    torch.set_num_threads(threads)
    model = build(shape, torch.device(device))
    executor = load_executor(model)
    prompt = [token % shape.vocabulary for token in range(PROMPT_TOKENS)]
    before, was_reset = _start_peak(device)
    strategy = strategy_class("autoregressive")()
    for _ in Engine(executor, strategy, Law(), Limits(NEW_TOKENS)).rounds(prompt):
        pass
    growth = _peak(device) - before
    cache = executor.new_cache(PROMPT_TOKENS + NEW_TOKENS)
    return MemoryUse(growth, cache.data.nbytes, weight_bytes(model), was_reset)


def _start_peak(device: str) -> tuple[int, bool]:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated(), True
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return _status("VmRSS"), False
    return _status("VmRSS"), True


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device != "cpu" else _status("VmHWM")


def _status(key: str) -> int:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise AssertionError(f"the system states no {key}")
