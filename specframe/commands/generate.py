"""`specframe generate`: prints text as it is generated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.options import Device, Dtype, OldSelector, Preset, Threads, either
from specframe.commands.progress import Progress
from specframe.commands.results_file import JsonFile, require_writable, write_figures
from specframe.errors import InvalidRequest
from specframe.prompts.chat import turn_tokens
from specframe.prompts.rows import unicode_text

if TYPE_CHECKING:
    from specframe.core.stats import GenerationStats

__all__ = ["generate"]

BASELINE = "autoregressive"
SHOWN = 0.05  # seconds; shorter times are not shown


def generate(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[
        str, typer.Option(help="A folder, a .gguf file, a hub id, smollm2 or testbed.")
    ] = "testbed",
    strategy: Annotated[
        str | None,
        typer.Option(
            help="A name that `specframe ls` shows, or a calibrated folder. Default: "
            "autoregressive."
        ),
    ] = None,
    preset: Preset = "best",
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A setting of the strategy as name=value; repeatable. Every strategy accepts "
            "draft_stop, draft_tree and draft_bits.",
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of new tokens.")] = 128,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=1e6, help="Sampling temperature; 0 is greedy decoding.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Nucleus sampling; 1 keeps every token.")
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option(min=0, help="Sample from the k most likely tokens; 0 keeps all.")
    ] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="A stop string; repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed for sampling.")] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="Apply the chat template.")] = False,
    tensor_parallel: Annotated[
        bool,
        typer.Option(
            "--tensor-parallel", help="Split one model among the processes that torchrun starts."
        ),
    ] = False,
    threads: Threads = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
    json: JsonFile = None,
    selector: OldSelector = None,
) -> None:
    """Generate text from a prompt, print it as it is generated, and show what drafting gained."""
    require_writable(json)
    given = either("strategy", strategy, selector)
    named = BASELINE if given is None else given
    if stop and "" in stop:
        raise InvalidRequest("A stop string is empty. Leave it out, or give its text.")
    from specframe.contract.naming import option_pairs
    from specframe.contract.options import require_temperature
    from specframe.doors.second import require_with_models
    from specframe.doors.tensor_parallel import is_first, leave
    from specframe.rig import Rig

    if temperature:
        require_temperature("generate", temperature)
    options = option_pairs(setting or [])
    require_with_models(named, preset, options)
    text = unicode_text("The prompt", _read_stdin() if prompt == "-" else prompt)
    prints = not tensor_parallel or is_first()
    progress = Progress()
    rig = Rig.load(
        model,
        device=device,
        threads=threads,
        dtype=dtype,
        tell=progress if prints else None,
        tensor_parallel=tensor_parallel,
    )
    tokenizer = rig.tokenizer
    if tokenizer is None:
        raise InvalidRequest(
            f"{model!r} has no tokenizer, so it cannot generate text. Name another model."
        )
    tokens = _prompt_ids(tokenizer, text, chat)
    if not tokens:
        raise InvalidRequest("The prompt is empty. Pass some text.")
    rig.require_room("The prompt", len(tokens), max_new_tokens)
    speculator = rig.speculator(rig.ready_strategy(named, preset, options))
    progress.end()
    arguments: dict[str, Any] = {"max_new_tokens": max_new_tokens, "seed": seed}
    arguments["do_sample"] = temperature > 0.0
    if temperature > 0.0:
        arguments |= {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    if stop:
        arguments["stop_strings"] = stop
    streamer = _Terminal(tokenizer) if prints else None
    output = speculator.generate(tokens, streamer=streamer, **arguments)
    if tensor_parallel:
        leave()
    if not prints:
        return
    assert output.stats is not None
    typer.echo(_summary(output.stats), err=True)
    if why := output.stats.declined or _nothing_planned(named, output.stats):
        typer.echo(why, err=True)
    for warning in output.stats.warnings:
        typer.echo(f"warning: {warning}", err=True)
    write_figures(json, _figures(output, tokenizer))


def _read_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The prompt on standard input is not UTF-8: {error.reason}."
        ) from error


class _Terminal:
    """Prints committed text; has the interface of transformers' streamers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._printed = ""
        self._prompt = True

    def put(self, tokens: Any) -> None:
        """Decode all tokens so far, since one may be half a character; print what is new."""
        if self._prompt:
            self._prompt = False
            return
        self._tokens += tokens.reshape(-1).tolist()
        text = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        if text.endswith("\ufffd"):
            return
        typer.echo(text[len(self._printed) :], nl=False)
        self._printed = text

    def end(self) -> None:
        """Print the rest and end the line."""
        text = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        typer.echo(text[len(self._printed) :])


def _prompt_ids(tokenizer: Any, text: str, chat: bool) -> list[int]:
    if not chat:
        ids: list[int] = tokenizer(text)["input_ids"]
        return ids
    if not tokenizer.chat_template:
        raise InvalidRequest("This model's tokenizer has no chat template. Leave out --chat.")
    return turn_tokens(tokenizer, text)


def _nothing_planned(named: str, stats: GenerationStats) -> str:
    """Why nothing was drafted although no plan was declined; empty for the baseline."""
    if stats.drafted or not stats.rounds or named == BASELINE:
        return ""
    return (
        f"{named} drafted nothing for this prompt, so the speed is that of autoregressive decoding"
    )


def _summary(stats: GenerationStats) -> str:
    drafted = (
        f"{stats.acceptance:.0%} of {stats.drafted} drafted tokens accepted"
        if stats.drafted
        else "nothing was drafted"
    )
    made = (
        f"; making low-bit copies took {stats.low_bit_seconds:.1f} s, which is not counted"
        if stats.low_bit_seconds >= SHOWN
        else ""
    )
    return (
        f"{stats.new_tokens} tokens, {stats.tokens_per_second:.1f} tokens/s, "
        f"{stats.mean_accepted_length:.2f} tokens a round, "
        f"{drafted}; {stats.exactness}{made}"
    )


def _figures(output: Any, tokenizer: Any) -> dict[str, Any]:
    from dataclasses import asdict

    stats = output.stats
    tokens = output.sequences[0].tolist()[stats.prompt_tokens :]
    return {
        "schema_version": 1,
        "text": tokenizer.decode(tokens, skip_special_tokens=True),
        "tokens": tokens,
        "stats": asdict(stats)
        | {"acceptance": stats.acceptance, "tokens_per_second": stats.tokens_per_second}
        | {"declined": stats.declined},
    }
