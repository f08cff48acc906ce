"""Compiles the sublayers for this processor, once, into the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch

from specframe.executors.machine import cpu_name
from specframe.storage.user_cache import cache_folder

__all__ = ["compiled", "source_version"]

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-fPIC", "-shared")
DEFINITIONS = {torch.bfloat16: ("-DBFLOAT16",), torch.float32: ()}
SOURCES = ("elements.c", "products.c", "sublayers.c")  # one text, in this order
LONGEST_COMPILATION = 120.0  # seconds


@cache
def compiled(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The functions for weights of this dtype; None without a compiler that can build them.

    The threads are those of the OpenMP library that torch has loaded under the same name.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or dtype not in DEFINITIONS:
        return None
    command = [compiler, *FLAGS, *DEFINITIONS[dtype]]
    text = _source()
    facts = (text, command, cpu_name(), torch.backends.cpu.get_cpu_capability())
    kept = (
        cache_folder() / "compiled" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}.so"
    )
    try:
        if not kept.exists():
            _compile(command, text, kept)
        return ctypes.CDLL(str(kept))
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def source_version() -> str:
    """A hash of the source, on which prices and exactness depend."""
    return hashlib.sha256(_source().encode()).hexdigest()[:8]


def _source() -> str:
    folder = files("specframe.executors.fused.native")
    return "".join((folder / name).read_text(encoding="utf-8") for name in SOURCES)


def _compile(command: list[str], text: str, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        subprocess.run(
            [*command, "-x", "c", "-", "-o", str(made), "-lm"],
            input=text.encode(),
            check=True,
            capture_output=True,
            timeout=LONGEST_COMPILATION,
        )
        made.replace(kept)  # no other process sees a partial file
    finally:
        made.unlink(missing_ok=True)
