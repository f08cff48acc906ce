"""Checks on this machine whether rows computed together are bit-identical to single rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from specframe.errors import ArtefactError
from specframe.executors.added_code import added_code
from specframe.executors.cache import CursorCache
from specframe.executors.executor import NO_ROWS, Executor, chain_step
from specframe.executors.filling import BLOCK
from specframe.executors.machine import arithmetic_settings, processor_name
from specframe.executors.module_tree import named_modules
from specframe.executors.support import is_sharded
from specframe.storage.user_cache import cache_folder, read_json, write_json

__all__ = ["Exactness", "check_exactness", "known_exactness", "promised_exactness"]

# committed tokens before the rows, around block boundaries and far from them
CONTEXTS = (5, 64, 191, 250, 505, 700, 2_100, 8_160)
ROWS = (2, 3, 5, 9, 17, 32)  # up to the longest chain that is drafted, with its root


@dataclass(frozen=True, slots=True)
class Exactness:
    """Whether greedy chains are bit-identical to autoregressive decoding on the same executor."""

    exact: bool
    statement: str


def promised_exactness(model: Any, executor: Executor) -> Exactness:
    """`known_exactness`, unless the model contains added code, for which nothing is promised."""
    if is_sharded(model):
        return Exactness(False, "not checked, since its weights are sharded over several processes")
    added = added_code(named_modules(model))
    if added is None:
        return known_exactness(executor)
    return Exactness(False, f"not checked, since {added}: it runs in every pass, drafts included")


def known_exactness(executor: Executor) -> Exactness:
    """`check_exactness`, with results stored by version, machine, settings, dtype and shapes."""
    path = cache_folder() / "exactness" / f"{_key(executor)}.json"
    known = None
    with suppress(ArtefactError):  # a result that cannot be read or stored is computed again
        known = read_json(path)
    if isinstance(known, dict) and known.keys() == {field.name for field in fields(Exactness)}:
        return Exactness(**known)
    found = check_exactness(executor)
    with suppress(ArtefactError):
        write_json(path, asdict(found))
    return found


def check_exactness(executor: Executor) -> Exactness:
    """Walk random rows one by one and in blocks, with the real weights, and compare all bits.

    Covers all weight shapes, the head, trailing masked columns and the current thread count.
    """
    blocks = [rows for rows in ROWS if rows < executor.shape.positions]
    longest = max(blocks)
    room = executor.shape.positions - longest
    contexts = [context for context in CONTEXTS if context <= room] or [max(room, 1)]
    tokens = _random_tokens(executor, BLOCK + longest)
    for context in contexts:
        text = tokens[: min(context, BLOCK) + longest]
        differing = _rows_that_differ(executor, text, context, blocks)
        if differing is not None:
            return Exactness(
                False,
                f"near-ties may be decided differently than in autoregressive decoding: at context "
                f"{context}, {differing} rows differ in their last bits from single rows",
            )
    return Exactness(True, "greedy chains equal autoregressive decoding bit for bit")


def _rows_that_differ(
    executor: Executor, tokens: list[int], context: int, blocks: Sequence[int]
) -> int | None:
    """The size of the smallest block whose rows differ from those of single walks, or None."""
    longest = max(blocks)
    head, rest = tokens[:-longest], tokens[-longest:]
    cache = executor.new_cache(context + longest)
    _fill(executor, cache, head, context)
    together = [_walk(executor, cache, rest[:rows]) for rows in blocks]
    singly = []
    for token in rest:
        singly.append(_walk(executor, cache, [token]))
        cache.commit([0])
    alone = torch.cat(singly, dim=1)
    pairs = zip(blocks, together, strict=True)
    return next((rows for rows, block in pairs if not torch.equal(block, alone[:, :rows])), None)


def _fill(executor: Executor, cache: CursorCache, tokens: list[int], context: int) -> None:
    """Commit the same columns repeatedly, so that a long context takes no longer to fill."""
    step = chain_step(tokens, 0, cache.data.device)
    executor.walk(step, cache, stop=executor.representative_sublayers, rows=NO_ROWS)
    cache.commit([column % len(tokens) for column in range(context)])


def _walk(executor: Executor, cache: CursorCache, tokens: list[int]) -> Tensor:
    step = chain_step(tokens, cache.length, cache.data.device)
    hidden = executor.walk(step, cache, stop=executor.representative_sublayers, rows=NO_ROWS).hidden
    return executor.logits(hidden)


def _random_tokens(executor: Executor, count: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    size = (count,)
    drawn: list[int] = torch.randint(executor.shape.vocabulary, size, generator=generator).tolist()
    return drawn


@cache
def _version() -> str:
    """Cached, since reading it from the installed files is slow."""
    return version("specframe")


def _key(executor: Executor) -> str:
    facts = (
        _version(),
        (CONTEXTS, ROWS),
        executor.name,
        executor.traits,
        executor.strict,
        str(executor.dtype),
        str(executor.device),
        tuple(asdict(executor.shape).items()),
        processor_name(executor.device),
        *arithmetic_settings(),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
