"""A selector from what a command line says: a registered name with options, or a saved folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from specframe.errors import ArtefactError, InvalidRequest
from specframe.registry import selector_class
from specframe.selector import LayerSelector
from specframe.types import ModelShape

__all__ = ["option_pairs", "selector_from"]

MANIFEST = "manifest.json"


def selector_from(
    named: str, shape: ModelShape, preset: str = "best", options: Mapping[str, str] | None = None
) -> LayerSelector:
    """`named` is a folder that `save` wrote, or a registered name for this model's shape.

    What a selector is made of is said by its option `of`: names and folders, commas between them.
    """
    folder = Path(named)
    if folder.is_dir():
        return selector_class(_saved_name(folder)).load(folder)
    found, given = selector_class(named), dict(options or {})
    if not found.combines:
        return found.configured(shape, preset, **given)
    names = given.pop("of", ",".join(found.combines)).split(",")
    parts = [selector_from(name.strip(), shape, preset) for name in names]
    return found.combining(parts, preset, **given)


def option_pairs(settings: Sequence[str]) -> dict[str, str]:
    """Settings like name=value, as a mapping."""
    pairs = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign:
            raise InvalidRequest(f"A setting has the form name=value. Got {setting!r} instead.")
        pairs[name.strip().replace("-", "_")] = value.strip()
    return pairs


def _saved_name(folder: Path) -> str:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        name: str = manifest["kind"]  # a selector's artefact is of the kind it is registered as
    except (OSError, ValueError, KeyError) as error:
        raise ArtefactError(
            f"{str(folder)!r} holds no saved selector ({MANIFEST} cannot be read: {error}). "
            f"Name a folder that `specframe calibrate` wrote."
        ) from error
    return name
