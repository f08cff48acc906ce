"""Whether and how a model runs on this machine, as a report for bug reports."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from specframe.doors.tensor_parallel import allowed_ranks, listed
from specframe.errors import UnsupportedModel
from specframe.types import ModelShape

__all__ = ["Diagnosis", "LowBit", "Support", "diagnose", "report"]

OWN = ("fused", "graphed")  # executors with their own forward pass
PACKAGES = ("specframe", "torch", "transformers", "tokenizers", "safetensors", "numpy")
EXTRAS = (
    "accelerate",
    "gguf",
    "hnswlib",
    "matplotlib",
    "optimum-quanto",
    "torchao",
    "bitsandbytes",
)


@dataclass(frozen=True, slots=True)
class LowBit:
    """Low-bit copies of all sublayers and the head, which may make drafts faster."""

    refusal: str | None  # why low-bit copies are not possible
    bytes: dict[str, int]  # by bits
    share: dict[str, float]  # the same as a share of the weights
    products: str  # compiled, or operators of torch
    rounding: str  # of 4-bit weights: to the nearest, or for its inputs


@dataclass(frozen=True, slots=True)
class Support:
    """How a supported model is run."""

    executor: str
    why_not_fused: str | None
    layout: str
    dtype: str
    device: str
    attention: str
    shape: ModelShape
    exact: bool
    exactness: str
    advice: str | None
    cache_bytes_per_1000_tokens: int
    low_bit: LowBit
    ranks: tuple[int, ...]  # numbers of processes that can share the weights


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A model that is supported, or the reason why it is not; and what is installed."""

    model: str
    family: str
    support: Support | None
    refusal: str | None
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        return {"schema_version": 1, "supported": self.support is not None, **asdict(self)}


def diagnose(name: str, device: str = "cpu", dtype: str = "auto") -> Diagnosis:
    """Examine a model by folder or name; weights are loaded only if the config is supported.

    The exactness check runs random tokens through the real weights; its result is stored.
    """
    from specframe.doors.loading import MADE_HERE, load, load_model, located
    from specframe.executors.device import require_device, require_dtype

    where, precision = require_device(device), require_dtype(dtype)
    given = {} if precision is None else {"dtype": precision}
    if name in MADE_HERE:
        return _examine(name, load(name, **given).model.to(where))
    place = located(name)
    config = _config(place)
    refusal = _refusal_of(config)
    if refusal is not None:
        return _diagnosis(name, config.model_type, None, refusal)
    return _examine(name, load_model(place, **given).to(where))


def report(diagnosis: Diagnosis) -> str:
    """The diagnosis as lines of `name: value`, for a bug report."""
    facts: dict[str, Any] = {"model": diagnosis.model, "family": diagnosis.family}
    if diagnosis.support is None:
        facts |= {"supported": "no", "reason": diagnosis.refusal}
    else:
        facts |= {"supported": "yes", **_facts(diagnosis.support)}
    facts |= diagnosis.machine
    facts |= {name: found or "not installed" for name, found in diagnosis.versions.items()}
    width = max(len(what) for what in facts)
    return "\n".join(f"{what + ':':<{width + 1}} {value}" for what, value in facts.items())


def _facts(support: Support) -> dict[str, Any]:
    shape = support.shape
    executor = support.executor
    if support.why_not_fused is not None:
        executor += f" (not fused: {support.why_not_fused})"
    return {
        "executor": executor,
        "layers": f"{shape.layers} x 2 sublayers, {support.layout}",
        "heads": f"{shape.heads} of {shape.head_size}, {shape.kv_heads} for keys and values",
        "positions": shape.positions,
        "weights": f"{support.dtype} on {support.device}, attention {support.attention}",
        "exactness": support.exactness,
        **({} if support.advice is None else {"advice": support.advice}),
        "cache": f"{support.cache_bytes_per_1000_tokens / 1e6:.3g} MB per 1,000 tokens",
        "low-bit copies": _copies_words(support.low_bit),
        "tensor parallel": f"on {listed(support.ranks)} ranks" if support.ranks[1:] else "no",
    }


def _copies_words(low: LowBit) -> str:
    """Memory, rounding and matrix products of low-bit copies."""
    if low.refusal is not None:
        return f"none: {low.refusal}"
    sizes = [
        f"{size / 1e6:.3g} MB at {bits} bits ({low.share[bits]:.2f} of the weights)"
        for bits, size in low.bytes.items()
    ]
    rounded = f"4-bit weights are rounded {low.rounding}"
    return f"{', '.join(sizes)}; {rounded}; their products are {low.products}"


def _examine(name: str, model: Any) -> Diagnosis:
    family = model.config.model_type
    try:
        support = _support(model)
    except UnsupportedModel as error:
        return _diagnosis(name, family, None, str(error))
    return _diagnosis(name, family, support, None)


def _support(model: Any) -> Support:
    from specframe.executors.exactness import promised_exactness
    from specframe.executors.fused.fusible import reason_not_fusible
    from specframe.executors.load import load_executor

    executor = load_executor(model)
    found = promised_exactness(model, executor)
    layout = getattr(executor, "layout", None)
    attention = "own" if executor.name in OWN else executor.traits.partition("/")[2]
    return Support(
        executor=executor.name,
        why_not_fused=reason_not_fusible(model),
        layout="pre-norm" if layout is None else _layout_words(layout),
        dtype=str(executor.dtype).removeprefix("torch."),
        device=str(executor.device),
        attention=attention,
        shape=executor.shape,
        exact=found.exact,
        exactness=found.statement,
        advice=None if found.exact else _advice(executor, attention),
        cache_bytes_per_1000_tokens=1000 * _bytes_per_position(executor),
        low_bit=_low_bit(model, executor),
        ranks=allowed_ranks(model.config),
    )


def _low_bit(model: Any, executor: Any) -> LowBit:
    from specframe.executors.kept_rounding import rounding_file
    from specframe.executors.low_bit_copies import weight_bytes
    from specframe.profilers.low_bit import copies_bytes
    from specframe.profilers.machine import layer_kinds, lowerable

    kinds, weights = layer_kinds(model, executor.shape.layers), weight_bytes(model)
    sizes = {str(bits): copies_bytes(executor, kinds, bits) for bits in lowerable(executor)}
    share = {bits: size / weights for bits, size in sizes.items()}
    products = "compiled" if executor.compiled else "operators of torch"
    refusal = executor.refuses_low()
    kept = refusal is None and rounding_file(model).is_file()
    rounding = "for its inputs" if kept else "to the nearest"
    return LowBit(refusal, sizes, share, products, rounding)


def _advice(executor: Any, attention: str) -> str | None:
    """What may make greedy decoding exact."""
    if executor.name in OWN and str(executor.dtype) == "torch.float32":
        return "strict=True computes float32 rows bit-identically in blocks of any size"
    if attention.startswith("sdpa") and executor.dtype.itemsize == 2:
        return "attn_implementation='eager' may be exact: load the model with it and run this again"
    return None


def _layout_words(layout: Any) -> str:
    windows = sorted({layer.window for layer in layout.layers if layer.window is not None})
    words = [layout.title]
    words += [f"sliding windows of {', '.join(map(str, windows))}"] if windows else []
    words += [] if layout.in_table else ["recognised by structure"]
    return ", ".join(words)


def _bytes_per_position(executor: Any) -> int:
    """Bytes of keys and values per token, measured with one token."""
    import torch

    from specframe.types import Step

    cache = executor.new_cache(1)
    token = torch.zeros(1, 1, dtype=torch.long, device=executor.device)
    executor.walk(Step(token, token[0], 0, 0), cache, rows=None)
    return int(cache.bytes_per_position)


def _config(name: str) -> Any:
    from transformers import AutoConfig

    from specframe.doors.loading import loading

    with loading(name):
        return AutoConfig.from_pretrained(name)


def _refusal_of(config: Any) -> str | None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    from specframe.executors.support import refusal_of_config

    found = refusal_of_config(config, MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None))
    return None if found is None else f"No executor runs this model: {found}"


def _diagnosis(name: str, family: str, support: Support | None, refusal: str | None) -> Diagnosis:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()}",
        "gpu": ", ".join(gpus) or "none",
    }
    versions = {package: _version(package) for package in (*PACKAGES, *EXTRAS)}
    return Diagnosis(name, family, support, refusal, machine, versions)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
