"""Initial weights that can copy: the first two attention sublayers form an induction circuit.

Four heads of layer 0 attend to the previous token and write a projection of it into the residual
stream. Their queries and keys come from a channel that is the same for all tokens, rotated so that
attention peaks at distance one. Four heads of layer 1 attend to positions whose previous token
equals the current one, and write the token found there. Training then changes all these weights;
learning the circuit from random weights would take millions of tokens, too many for two CPU cores.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from specframe.testbed.training.recipe import Recipe

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

_SHARED = 0  # the channel that is the same for all tokens
_SHARED_VALUE = 1.5
_EMBEDDING_SCALE = 0.2  # of an embedding's channel; what early steps write is small in comparison
_FAST_PAIRS = 4  # rotary pairs that distinguish neighbours
_LOOK_BACK = 1.0
_WRITE = 0.3  # about the size of an embedding's channel
_MATCH = 2.0
_COPY = 3.0
_FINAL_SCALE = 0.4  # keeps the first logits small in spite of large embeddings


@torch.no_grad()
def implant_copying(recipe: Recipe, model: "LlamaForCausalLM") -> None:
    """Write the circuit into layers 0 and 1; all other sublayers output zero at first."""
    generator = torch.Generator().manual_seed(recipe.seed)
    body: Any = model.model
    embedding, final_norm = body.embed_tokens.weight, body.norm.weight
    embedding.mul_(_EMBEDDING_SCALE / embedding.std())
    embedding[:, _SHARED] = _SHARED_VALUE
    final_norm.fill_(_FINAL_SCALE)
    for layer in body.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    width = recipe.width // recipe.heads
    slow = width // 4  # rotary pairs that hardly rotate within a prompt
    for kv_head in range(recipe.kv_heads):
        head = kv_head * (recipe.heads // recipe.kv_heads)
        seen, written = (
            _projection(recipe, 2 * slow, generator),
            _projection(recipe, 2 * slow, generator),
        )
        found = _projection(recipe, width, generator)
        _look_back(body.layers[0].self_attn, head, kv_head, width, seen, written)
        _match(body.layers[1].self_attn, head, kv_head, width, seen, written)
        _copy(body.layers[1].self_attn, head, kv_head, width, found)


def is_circuit(name: str) -> bool:
    """Whether a parameter belongs to the circuit, which is frozen at the start of training."""
    return name.startswith(("model.layers.0.self_attn", "model.layers.1.self_attn"))


def _look_back(
    attention: Any, head: int, kv_head: int, width: int, seen: Tensor, written: Tensor
) -> None:
    query, key = _rows(attention.q_proj, head, width), _rows(attention.k_proj, kv_head, width)
    half = width // 2
    query.zero_()
    key.zero_()
    for pair in range(_FAST_PAIRS):
        turn = torch.tensor(10_000.0 ** (-pair / half))
        key[pair, _SHARED] = _LOOK_BACK
        # rotated back by one position, so that query and key agree at distance one
        query[pair, _SHARED], query[pair + half, _SHARED] = (
            _LOOK_BACK * turn.cos(),
            -_LOOK_BACK * turn.sin(),
        )
    _rows(attention.v_proj, kv_head, width)[: len(seen)] = seen
    attention.o_proj.weight[:, head * width : head * width + len(seen)] = _WRITE * written.T


def _match(
    attention: Any, head: int, kv_head: int, width: int, seen: Tensor, written: Tensor
) -> None:
    query, key = _rows(attention.q_proj, head, width), _rows(attention.k_proj, kv_head, width)
    query.zero_()
    key.zero_()
    half, quarter = width // 2, width // 4
    places = [*range(quarter, half), *range(half + quarter, width)]
    query[places], key[places] = _MATCH * seen, _MATCH * written


def _copy(attention: Any, head: int, kv_head: int, width: int, found: Tensor) -> None:
    _rows(attention.v_proj, kv_head, width)[:] = found
    attention.o_proj.weight[:, head * width : (head + 1) * width] = _COPY * found.T


def _rows(projection: Any, head: int, width: int) -> Tensor:
    rows: Tensor = projection.weight[head * width : (head + 1) * width]
    return rows


def _projection(recipe: Recipe, rows: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows [rows, D] that ignore the shared channel."""
    random = torch.randn(recipe.width - 1, rows, generator=generator)
    basis = torch.linalg.qr(random).Q.T
    return torch.cat([torch.zeros(rows, 1), basis], 1)
