"""Options that several commands have, and their names in version 0.1."""

from __future__ import annotations

from typing import Annotated

import typer

from specframe.errors import InvalidRequest

__all__ = [
    "Device",
    "Dtype",
    "OldSelector",
    "OldSelectors",
    "Preset",
    "Setting",
    "Threads",
    "either",
    "say_prompts",
]

# names of 0.1, which go in 0.3
OldSelector = Annotated[str | None, typer.Option("--selector", hidden=True)]
OldSelectors = Annotated[str | None, typer.Option("--selectors", hidden=True)]

Preset = Annotated[str, typer.Option(help="best or faithful.")]
Setting = Annotated[
    list[str] | None, typer.Option("--set", help="name=value for the strategy; repeatable.")
]

# of every command that loads a model
Threads = Annotated[int | None, typer.Option(help="CPU threads; torch's own choice if not given.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Dtype = Annotated[
    str,
    typer.Option(help="auto (that of the stored weights), bfloat16, float16 or float32."),
]


def either(name: str, given: str | None, old: str | None) -> str | None:
    """What an option was given under its name or its old one; both are refused."""
    if given is not None and old is not None:
        raise InvalidRequest(
            f"--{name} and its old name were both given: {given!r} and {old!r}. Keep --{name}."
        )
    return old if given is None else given


def say_prompts(model: str, named: str | None) -> None:
    """Begin the output with the prompts that a model is asked because none were named."""
    from specframe.prompts.usual import opening_line

    line = opening_line(model, named)
    if line is not None:
        typer.echo(line)
