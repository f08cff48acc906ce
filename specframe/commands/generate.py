"""`specframe generate`: text on the terminal as it is committed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specframe.commands.options import Device, OldSelector, Preset, either
from specframe.commands.results_file import JsonFile, require_writable, write_figures
from specframe.errors import InvalidRequest
from specframe.prompts.chat import turn_tokens

if TYPE_CHECKING:
    from specframe.core.stats import GenerationStats

__all__ = ["generate"]


def generate(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[
        str, typer.Option(help="A folder, a .gguf file, a hub id, smollm2 or testbed.")
    ] = "testbed",
    strategy: Annotated[
        str | None,
        typer.Option(
            help="A name that `specframe ls` shows, or a calibrated folder; autoregressive if not "
            "given."
        ),
    ] = None,
    preset: Preset = "best",
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="name=value for the strategy; repeatable. Every one takes draft_stop, "
            "draft_tree and draft_bits.",
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 128,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="1 keeps every token.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="0 keeps every token.")] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="A stop string; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of sampling.")] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="Apply the chat template.")] = False,
    device: Device = "cpu",
    json: JsonFile = None,
    selector: OldSelector = None,
) -> None:
    """Generate from a prompt, streaming, and sum up what drafting gained."""
    require_writable(json)
    named = either("strategy", strategy, selector) or "autoregressive"
    from specframe.contract.naming import option_pairs
    from specframe.rig import Rig

    rig = Rig.load(model, device=device)
    tokenizer = rig.tokenizer
    text = sys.stdin.read() if prompt == "-" else prompt
    speculator = rig.speculator(rig.strategy(named, preset, option_pairs(setting or [])))
    arguments: dict[str, Any] = {"max_new_tokens": max_new_tokens, "seed": seed}
    arguments["do_sample"] = temperature > 0.0
    if temperature > 0.0:
        arguments |= {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    if stop:
        arguments["stop_strings"] = stop
    output = speculator.generate(
        _prompt_ids(tokenizer, text, chat), streamer=_Terminal(tokenizer), **arguments
    )
    assert output.stats is not None
    typer.echo(_summary(output.stats), err=True)
    if output.stats.declined:
        typer.echo(output.stats.declined, err=True)
    for warning in output.stats.warnings:
        typer.echo(f"warning: {warning}", err=True)
    write_figures(json, _figures(output, tokenizer))


class _Terminal:
    """Prints committed text; a streamer as transformers has them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._printed = ""
        self._prompt = True

    def put(self, tokens: Any) -> None:
        """Decode all so far, since a token may hold half a character, and print what is new."""
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
        """Close the line."""
        text = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        typer.echo(text[len(self._printed) :])


def _prompt_ids(tokenizer: Any, text: str, chat: bool) -> list[int]:
    if not chat:
        ids: list[int] = tokenizer(text)["input_ids"]
        return ids
    if not tokenizer.chat_template:
        raise InvalidRequest("This model's tokenizer has no chat template. Leave out --chat.")
    return turn_tokens(tokenizer, text)


def _summary(stats: GenerationStats) -> str:
    return (
        f"{stats.new_tokens} tokens, {stats.tokens_per_second:.1f} tokens/s, "
        f"{stats.mean_accepted_length:.2f} tokens a round, "
        f"{stats.acceptance:.0%} of {stats.drafted} drafted tokens accepted; {stats.exactness}"
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
