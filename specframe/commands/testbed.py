"""`specframe testbed`: show, train, evaluate and sample the testbed's model."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from specframe.commands.interrupts import resumable
from specframe.commands.options import Device, Dtype, Threads
from specframe.commands.results_file import (
    JsonFile,
    require_folder,
    require_writable,
    write_figures,
)

__all__ = ["app"]

app = typer.Typer(help="The testbed's model, its corpus and its training.", no_args_is_help=True)

Where = Annotated[
    str, typer.Option("--model", help="shipped, tiny, or a folder with an exported model.")
]


@app.command()
def info(model: Where = "shipped", json: JsonFile = None) -> None:
    """Show the model's size and shape."""
    require_writable(json)
    network, tokenizer = _open(model)
    config = network.config
    figures = {
        "schema_version": 1,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "layers": config.num_hidden_layers,
        "width": config.hidden_size,
        "intermediate": config.intermediate_size,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "positions": config.max_position_embeddings,
        "vocabulary": len(tokenizer),
        "dtype": str(network.dtype).removeprefix("torch."),
    }
    for name, value in figures.items():
        typer.echo(f"{name:15} {value}")
    write_figures(json, figures)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run is resumed.")],
    size: Annotated[str, typer.Option(help="full or tiny.")] = "full",
    tokens: Annotated[
        int | None,
        typer.Option(
            max=10**12, help="Total number of training tokens; the final decay moves with it."
        ),
    ] = None,
    decay_now: Annotated[
        bool, typer.Option("--decay-now", help="Start the final decay at the run's current step.")
    ] = False,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
) -> None:
    """Train on a CPU by the fixed recipe and write the model to OUT/model."""
    from specframe.executors.device import compute_with
    from specframe.testbed.model.folder import export
    from specframe.testbed.training.run import Progress, run_recipe
    from specframe.testbed.training.run import train as run

    require_writable(json)
    require_folder(out)
    _require_device_of_recipe(device, dtype)
    compute_with(threads)
    recipe = run_recipe(out, size, tokens, decay_now)

    def report(progress: Progress) -> None:
        if progress.step % 10 == 0 or progress.seen >= progress.total:
            typer.echo(_progress_line(progress))

    with resumable(out / "latest", "the same command continues."):
        trainer = run(recipe, out, report)
        export(recipe, out, out / "model")
    position = trainer.position
    write_figures(json, {"schema_version": 1, "steps": position.step, "tokens": position.seen})
    typer.echo(f"model: {out / 'model'}")


def _require_device_of_recipe(device: str, dtype: str) -> None:
    """Equal recipes must give equal weights, so device and dtype are fixed."""
    from specframe.errors import InvalidRequest
    from specframe.executors.device import require_device, require_dtype

    require_device(device)
    require_dtype(dtype)
    if (device, dtype) != ("cpu", "auto"):
        raise InvalidRequest(
            f"The recipe trains on a CPU and keeps its weights in float32 until the finished model "
            f"is stored in bfloat16. Got --device {device} and --dtype {dtype}; leave both out."
        )


@app.command("eval")
def evaluate(
    model: Where = "shipped",
    prompts: Annotated[int, typer.Option(min=2, max=1000, help="Prompts per domain.")] = 8,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
) -> None:
    """Measure loss, scores and acceptance with skipped sublayers; takes under five minutes."""
    from specframe.testbed.evaluation.evaluate import Effort
    from specframe.testbed.evaluation.evaluate import evaluate as measure

    require_writable(json)
    network, tokenizer = _placed(model, threads, device, dtype)
    report = measure(
        network, tokenizer, Effort(answers=prompts), lambda note: typer.echo(note, err=True)
    )
    for name, domain in report.domains.items():
        numbers = {key: value for key, value in asdict(domain).items() if isinstance(value, float)}
        typer.echo(
            f"{name:12} " + "  ".join(f"{key} {value:.3f}" for key, value in numbers.items())
        )
    for key in ("acceptance_at_half", "acceptance_at_70", "predicted_best_speedup"):
        typer.echo(f"{key} {getattr(report, key):.3f}")
    typer.echo("acceptance at half, searched on (rows), measured on (columns):")
    for name, row in report.cross_domain.items():
        typer.echo(f"{name:12} " + "  ".join(f"{value:.3f}" for value in row.values()))
    write_figures(json, report.as_json())


@app.command()
def sample(
    domain: Annotated[
        str, typer.Option(help="Domain of the prompts; an unknown name lists the known ones.")
    ],
    count: Annotated[int, typer.Option(min=1, max=1000, help="Number of prompts.")] = 3,
    exemplars: Annotated[
        int, typer.Option(min=0, max=1000, help="Solved examples before each prompt.")
    ] = 0,
    new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of new tokens.")] = 192,
    plain: Annotated[bool, typer.Option("--plain", help="Do not apply the chat template.")] = False,
    model: Where = "shipped",
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
) -> None:
    """Print prompts, the model's greedy answers, and reference answers."""
    from specframe.testbed.prompts import suite

    require_writable(json)
    prompts = suite(domain, count, exemplars=exemplars, templated=not plain)
    network, tokenizer = _placed(model, threads, device, dtype)
    rows = [_answered(network, tokenizer, prompt, new_tokens) for prompt in prompts]
    for row in rows:
        typer.echo(f"PROMPT\n{row['prompt']}\nANSWER ({row['score']:.2f})\n{row['answer']}")
        typer.echo(f"REFERENCE\n{row['reference']}\n")
    write_figures(json, {"schema_version": 1, "domain": domain, "samples": rows})


def _answered(network: Any, tokenizer: Any, prompt: Any, new_tokens: int) -> dict[str, Any]:
    from specframe.testbed.evaluation.evaluate import answer
    from specframe.testbed.evaluation.scoring import score

    text = tokenizer.decode(
        answer(network, tokenizer, prompt, new_tokens), skip_special_tokens=True
    )
    return {
        "prompt": prompt.text,
        "answer": text,
        "reference": prompt.reference,
        "score": score(prompt.document, text),
    }


def _open(where: str) -> tuple[Any, Any]:
    from specframe.doors.loading import exists
    from specframe.errors import InvalidRequest, shown
    from specframe.testbed.model.folder import open_folder
    from specframe.testbed.model.shipped import load, load_tiny

    if where == "shipped":
        return load()
    if where == "tiny":
        return load_tiny()
    if not exists(str(Path(where) / "config.json")):
        raise InvalidRequest(
            f"No model at {shown(where)}. Name 'shipped', 'tiny' or a folder with config.json."
        )
    return open_folder(Path(where))


def _placed(where: str, threads: int | None, device: str, dtype: str) -> tuple[Any, Any]:
    """The model on this device with this dtype, and its tokenizer."""
    from specframe.executors.device import compute_with, require_device, require_dtype

    place, precision = require_device(device), require_dtype(dtype)
    compute_with(threads)
    network, tokenizer = _open(where)
    return network.to(device=place, dtype=precision or network.dtype), tokenizer


def _progress_line(progress: Any) -> str:
    def words(losses: dict[str, float]) -> str:
        return " ".join(f"{domain} {loss:.2f}" for domain, loss in losses.items())

    losses = progress.losses
    return (
        f"step {progress.step}  {progress.seen / 1e6:.2f} of {progress.total / 1e6:.2f}M tokens  "
        f"{progress.tokens_per_second:.0f} tokens/s  {progress.seconds_left / 60:.0f} min left  "
        f"full: {words(losses.full)}  skipped: {words(losses.skipped)}"
    )
