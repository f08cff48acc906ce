"""Saves frozen dataclasses as manifest.json and safetensors, with facts of the model they fit."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from specframe.errors import ArtefactError, CalibrationMismatch
from specframe.storage.user_cache import from_json, write_json, writing
from specframe.storage.whole_folder import filling

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "TENSORS",
    "from_plain",
    "load_artefact",
    "read_manifest",
    "require_made_for",
    "save_artefact",
    "to_plain",
]

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"
DIGEST = "tensors_sha256"  # key of the manifest
LONGEST = 300  # characters of a reason
SCALARS = (str, int, float, bool)
Value = TypeVar("Value")


def save_artefact(folder: Path, value: Any, *, kind: str, fingerprint: Mapping[str, str]) -> None:
    """Write a frozen dataclass into a folder; its tensors go to one safetensors file.

    A folder that has a manifest is complete. If writing fails, the old content is kept.
    """
    tensors: dict[str, Tensor] = {}
    digest = ""
    plain = to_plain(value, tensors)
    with filling(folder, MANIFEST) as new:
        if tensors:
            from safetensors.torch import save_file

            with writing(folder):
                whole = {name: kept.contiguous() for name, kept in tensors.items()}
                save_file(whole, new / TENSORS)
                digest = _digest((new / TENSORS).read_bytes())
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "fingerprint": dict(fingerprint),
            DIGEST: digest,
            "value": plain,
        }
        write_json(new / MANIFEST, manifest)


def load_artefact(
    folder: Path, cls: type[Value], *, kind: str, fingerprint: Mapping[str, str], remedy: str
) -> Value:
    """Read what `save_artefact` wrote; an error ends with the remedy.

    The artefact must have every key of `fingerprint` with the same value.
    """
    manifest = read_manifest(folder, remedy)
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise ArtefactError(
            f"{folder} has schema version {manifest.get('schema_version')!r}, this program reads "
            f"{SCHEMA_VERSION}. {remedy}"
        )
    if manifest.get("kind") != kind:
        raise ArtefactError(
            f"{folder} holds a {manifest.get('kind')!r}, not a {kind!r}. Name another folder."
        )
    require_made_for(folder, manifest, fingerprint, remedy)
    try:
        value: Value = from_plain(cls, manifest["value"], _tensors(folder, manifest.get(DIGEST)))
    except Exception as error:  # a file may hold anything, and checks of values may raise anything
        reason = str(error) or type(error).__name__
        raise ArtefactError(
            f"{folder} does not hold a {cls.__name__}: {reason[:LONGEST]}. {remedy}"
        ) from error
    return value


def require_made_for(
    folder: Path, manifest: Mapping[str, Any], facts: Mapping[str, str], remedy: str
) -> None:
    """Raise if one of these facts differs from what the artefact was made for."""
    made_for = manifest.get("fingerprint")
    if not isinstance(made_for, dict):
        raise ArtefactError(f"{folder} does not say what it was made for. {remedy}")
    differing = [name for name in facts if made_for.get(name) != facts[name]]
    if differing:
        was = ", ".join(f"{name} {made_for.get(name, 'unknown')}" for name in differing)
        now = ", ".join(f"{name} {facts[name]}" for name in differing)
        raise CalibrationMismatch(f"{folder} was made for {was}; this run has {now}. {remedy}")


def to_plain(value: Any, tensors: dict[str, Tensor] | None = None) -> Any:
    """A frozen value as JSON types; tensors go to `tensors` and are replaced by their names."""
    if value is None or isinstance(value, SCALARS):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name), tensors) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return [[to_plain(k, tensors), to_plain(v, tensors)] for k, v in value.items()]
    if isinstance(value, tuple | list | frozenset):
        items = sorted(value) if isinstance(value, frozenset) else value
        return [to_plain(item, tensors) for item in items]
    if tensors is not None and hasattr(value, "untyped_storage"):
        name = f"tensor{len(tensors)}"
        tensors[name] = value.detach().cpu()
        return name
    raise ArtefactError(
        f"A {type(value).__name__} cannot be saved. Allowed are frozen dataclasses of numbers, "
        f"text, tuples, mappings and tensors."
    )


def from_plain(kind: Any, plain: Any, tensors: Mapping[str, Tensor] | None = None) -> Any:
    """Rebuild a value of this annotated type from JSON types."""
    return _Reader(tensors or {}).read(kind, plain)


class _TensorName:
    """Placeholder for the Tensor type, so that torch need not be imported."""


@dataclass(frozen=True, slots=True)
class _Reader:
    tensors: Mapping[str, Any] = field(default_factory=dict)

    def read(self, kind: Any, plain: Any) -> Any:
        origin = get_origin(kind)
        if origin in (Union, types.UnionType):
            return self._union(get_args(kind), plain)
        if origin is not None:
            return self._container(origin, get_args(kind), plain)
        if isinstance(kind, type) and is_dataclass(kind):
            if not isinstance(plain, dict):
                raise ValueError(f"{plain!r} is not a {kind.__name__}")
            hints = get_type_hints(kind, localns={"Tensor": _TensorName})
            unknown = set(plain) - {f.name for f in fields(kind)}
            if unknown:
                raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
            return kind(**{name: self.read(hints[name], part) for name, part in plain.items()})
        if kind is type(None) or kind is Any:
            return plain
        if kind in SCALARS:
            return _scalar(kind, plain)
        if kind is _TensorName or getattr(kind, "__name__", "") == "Tensor":
            return self.tensors[plain]
        raise ValueError(f"{plain!r} is not a {kind}")

    def _union(self, kinds: tuple[Any, ...], plain: Any) -> Any:
        if plain is None and type(None) in kinds:
            return None
        for kind in kinds:
            if kind is not type(None):
                try:
                    return self.read(kind, plain)
                except (TypeError, ValueError, KeyError):
                    continue
        raise ValueError(f"{plain!r} is none of {kinds}")

    def _container(self, origin: Any, kinds: tuple[Any, ...], plain: Any) -> Any:
        if issubclass(origin, Mapping):
            return {self.read(kinds[0], k): self.read(kinds[1], v) for k, v in plain}
        if origin is tuple and (len(kinds) != 2 or kinds[1] is not Ellipsis):
            return tuple(self.read(k, item) for k, item in zip(kinds, plain, strict=True))
        make: Callable[[Any], Any] = origin if isinstance(origin, type) else tuple
        if make not in (tuple, list, frozenset):
            make = tuple  # Sequence and the like
        return make(self.read(kinds[0], item) for item in plain)


def _scalar(kind: type, plain: Any) -> Any:
    if kind is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is not kind:
        raise ValueError(f"{plain!r} is not a {kind.__name__}")
    return plain


def read_manifest(folder: Path, remedy: str) -> dict[str, Any]:
    """The content of the folder's manifest; an error ends with the remedy."""
    path = folder / MANIFEST
    try:
        manifest = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}. {remedy}") from error
    if not isinstance(manifest, dict):
        raise ArtefactError(f"{path} is not a manifest. {remedy}")
    return manifest


def _tensors(folder: Path, digest: str | None) -> dict[str, Tensor]:
    """The folder's tensors; 0.1 kept no digest of them, and the digest of none is empty."""
    path = folder / TENSORS
    if digest == "" or not path.exists():
        return {}
    content = path.read_bytes()
    if digest is not None and digest != _digest(content):
        raise ValueError(f"{TENSORS} was altered or cut since it was saved")
    from safetensors.torch import load

    loaded: dict[str, Tensor] = load(content)
    return loaded


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
