"""Finds a model's layout: in the table, or by a walk that gives the model's own logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from specframe.errors import UnsupportedModel
from specframe.executors.added_code import foreign_forward
from specframe.executors.executor import Executor
from specframe.executors.modules.layout import Layout, candidates, taken_apart
from specframe.types import ModelShape, Step

__all__ = ["module_shape", "recognise"]

PROBE_ROWS = 24
LONGEST_PROBE = 600  # wider windows are taken from the config without a probe
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 1e-2}
COARSE = 5e-2  # bfloat16: wrong layouts are off by the size of the logits themselves
MISFITS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def recognise(model: Any, over: Callable[[Layout], Executor]) -> Layout:
    """The model's layout; `over` creates an executor to test other layouts."""
    tried = []
    for layout in candidates(model):
        own_code = foreign_forward(taken_apart(model, layout)) is not None
        if (layout.in_table and not own_code) or _walks_like(model, over(layout), layout):
            return layout
        tried.append(layout.title)
    why = (
        f"tried as {', '.join(tried)}, its logits differ" if tried else "its parts have other names"
    )
    raise UnsupportedModel(
        f"No executor runs this model: the layers of the {model.config.model_type!r} family have "
        f"no known layout ({why}). Use transformers' own generate, or add the family to the "
        f"layout table."
    )


def module_shape(config: Any) -> ModelShape:
    """The dimensions of a model, from the config of any family."""
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    return ModelShape(
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // heads,
        intermediate=_intermediate(text),
        positions=_positions(text),
    )


def _intermediate(text: Any) -> int:
    names = ("intermediate_size", "ffn_dim", "n_inner")
    found = next((size for name in names if (size := getattr(text, name, None))), None)
    return int(found) if found is not None else 4 * int(text.hidden_size)


def _positions(text: Any) -> int:
    """Positions whose rotary angles do not depend on the length of the sequence."""
    rope = getattr(text, "rope_parameters", None) or {}
    tables = [rope, *(table for table in rope.values() if isinstance(table, dict))]
    limits = [
        table["original_max_position_embeddings"]
        for table in tables
        if table.get("rope_type") == "longrope"
    ]
    return int(min([text.max_position_embeddings, *limits]))


@torch.no_grad()
def _walks_like(model: Any, executor: Executor, layout: Layout) -> bool:
    """Whether two walks over one sequence, the second on cached keys, give the model's logits."""
    windows = [layer.window + 8 for layer in layout.layers if layer.window is not None]
    probe = min(max([PROBE_ROWS, *windows]), LONGEST_PROBE, executor.shape.positions)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(executor.shape.vocabulary, (1, probe), generator=generator)
    tokens = tokens.to(executor.device)
    try:
        walked = _walk_in_two(executor, tokens)
    except MISFITS:
        return False  # a module that needs other arguments has another layout
    own = model(tokens, use_cache=False).logits.to(walked.device)
    worst = (walked - own).abs().max() / own.abs().max()
    return bool(worst <= TOLERANCES.get(executor.dtype, COARSE))


def _walk_in_two(executor: Executor, tokens: Tensor) -> Tensor:
    cache = executor.new_cache(tokens.shape[1])
    parts = []
    for block in tokens.tensor_split(2, dim=1):
        positions = torch.arange(block.shape[1], device=tokens.device) + cache.length
        step = Step(block, positions, cache.length, cache.length)
        logits = executor.walk(step, cache).logits
        assert logits is not None
        parts.append(logits)
        cache.commit(range(block.shape[1]))
    return torch.cat(parts, dim=1)
