"""Options that several commands share, and their names in version 0.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from specframe.errors import InvalidRequest

if TYPE_CHECKING:
    from specframe.scheduling.ray_workers import Cluster

__all__ = [
    "Device",
    "Dtype",
    "GpusPerWorker",
    "OldSelector",
    "OldSelectors",
    "Preset",
    "Ray",
    "Setting",
    "Threads",
    "Workers",
    "cluster_of",
    "either",
    "say_prompts",
]

# names of 0.1, which go in 0.3
OldSelector = Annotated[str | None, typer.Option("--selector", hidden=True)]
OldSelectors = Annotated[str | None, typer.Option("--selectors", hidden=True)]

Preset = Annotated[str, typer.Option(help="Preset of the strategy: best or faithful.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of the strategy as name=value; repeatable."),
]

# of every command that loads a model
Threads = Annotated[
    int | None, typer.Option(help="Number of CPU threads. Default: torch's choice.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Dtype = Annotated[
    str, typer.Option(help="auto (the dtype of the stored weights), bfloat16, float16 or float32.")
]

# of every command whose work can run on a cluster
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on a Ray cluster: local, or an address. --threads then holds for each worker.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of Ray workers. Default: as many as GPUs allow, or one per machine.",
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker", help="GPUs per Ray worker. Default: 1 with --device cuda, otherwise 0."
    ),
]


def cluster_of(
    ray: str | None,
    workers: int | None,
    gpus: float | None,
    threads: int | None,
    device: str | None,
) -> Cluster | None:
    """The Ray cluster of these options; None without --ray."""
    from specframe.scheduling.ray_workers import Cluster

    if ray is not None:
        usual = 1.0 if device == "cuda" else 0.0
        return Cluster(ray, workers, usual if gpus is None else gpus, threads)
    if workers is not None or gpus is not None:
        raise InvalidRequest(
            "--workers and --gpus-per-worker belong to --ray, which was not given. Add "
            "--ray local or --ray ADDRESS, or leave them out."
        )
    return None


def either(name: str, given: str | None, old: str | None) -> str | None:
    """The value of an option under its current or old name; an error if both were given."""
    if given is not None and old is not None:
        raise InvalidRequest(
            f"--{name} and its old name were both given: {given!r} and {old!r}. Keep --{name}."
        )
    return old if given is None else given


def say_prompts(model: str, named: str | None) -> None:
    """Print which prompts are used, where none were given for the model."""
    from specframe.prompts.usual import opening_line

    line = opening_line(model, named)
    if line is not None:
        typer.echo(line)
