"""Models that are sharded over the processes that `torchrun` started."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

from specframe.doors.loading import MADE_HERE, loading, located
from specframe.errors import InvalidRequest, UnsupportedModel

__all__ = ["allowed_ranks", "is_first", "leave", "listed", "require_ranks", "sharing"]

LAUNCH = "torchrun --nproc-per-node 2 -m specframe generate --tensor-parallel ..."
PATIENCE = timedelta(minutes=2)  # how long a rank waits for another
MOST_RANKS = 64
EVEN = ("packed_colwise", "packed_rowwise", "moe_tp_experts")  # these shard MLPs in equal parts


def sharing(name: str, device: str | None) -> dict[str, Any]:
    """Arguments of `from_pretrained` with which each process loads its share of the model."""
    import torch.distributed as dist
    from transformers import AutoConfig
    from transformers.distributed import DistributedConfig

    count = int(os.environ.get("WORLD_SIZE", "0"))
    if count < 2:
        raise InvalidRequest(
            f"A tensor-parallel model needs at least two processes. Got {max(count, 1)}; start "
            f"them with `{LAUNCH}`."
        )
    if name in MADE_HERE:
        raise InvalidRequest(
            f"{name!r} is made here and cannot be sharded. Name a folder or a hub id; "
            f"model.save_pretrained(FOLDER) writes one."
        )
    with loading(name):
        config = AutoConfig.from_pretrained(located(name))
    require_ranks(config, count)
    if not dist.is_initialized():
        _connect(device)
    return {"distributed_config": DistributedConfig(tp_size=count)}


def _connect(device: str | None) -> None:
    """Connect to the other ranks; on a machine with GPUs, transformers shares models only there."""
    import torch
    import torch.distributed as dist

    if not torch.cuda.is_available():
        dist.init_process_group("gloo", timeout=PATIENCE)
        return
    if device == "cpu":
        raise InvalidRequest(
            "On a machine with GPUs, transformers splits a model among them only. Use --device "
            "cuda, or hide the GPUs with CUDA_VISIBLE_DEVICES=''."
        )
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl", timeout=PATIENCE)


def require_ranks(config: Any, count: int) -> None:
    """Refuse a number of ranks that the model cannot be divided among."""
    allowed = allowed_ranks(config)
    if allowed == (1,):
        raise UnsupportedModel(
            f"transformers has no tensor-parallel plan for the {config.model_type!r} family. Use "
            f"one process, with device_map='auto' for several devices."
        )
    if count not in allowed:
        raise InvalidRequest(
            f"The model's heads and experts can be divided among {listed(allowed)} ranks. Got "
            f"{count} instead."
        )


def allowed_ranks(config: Any) -> tuple[int, ...]:
    """The numbers of ranks that can share a model of this config, smallest first."""
    text = config.get_text_config(decoder=True)
    plan = getattr(text, "base_model_tp_plan", None) or {}
    if not any("_proj" in name for name in plan):
        return (1,)
    heads = text.num_attention_heads
    parts = [heads, getattr(text, "num_key_value_heads", None) or heads]
    if any(style in EVEN for style in plan.values()):
        parts.append(getattr(text, "moe_intermediate_size", None) or text.intermediate_size)
    return tuple(n for n in range(1, MOST_RANKS + 1) if not any(part % n for part in parts))


def listed(numbers: tuple[int, ...]) -> str:
    """Numbers in words, such as "1, 2 or 4"."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last


def is_first() -> bool:
    """Whether this is the first rank, which prints for all, or the only process."""
    return os.environ.get("RANK", "0") == "0"


def leave() -> None:
    """End the connection between the ranks."""
    import torch.distributed as dist

    if dist.is_initialized():
        with suppress(RuntimeError):  # another rank has ended
            dist.destroy_process_group()
