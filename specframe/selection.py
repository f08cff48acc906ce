"""A selector from what a command line says: a registered name with options, or a saved folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from specframe.dressing import DRESSING, dressed
from specframe.errors import ArtefactError, InvalidRequest
from specframe.registry import selector_class
from specframe.selector import LayerSelector
from specframe.types import ModelShape

__all__ = ["Named", "option_pairs", "read_named", "selector_from"]

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Named:
    """A selector as a list names it: `name`, `name:preset` or `name:preset+setting=value+...`."""

    name: str
    preset: str
    options: Mapping[str, str]


def read_named(text: str, preset: str = "best") -> Named:
    """A folder's own name may hold anything; its preset is what it was calibrated with."""
    if Path(text).is_dir():
        return Named(text, preset, {})
    head, *settings = text.split("+")
    if Path(head).is_dir():
        return Named(head, preset, option_pairs(settings))
    name, _, own = head.partition(":")
    return Named(name, own or preset, option_pairs(settings))


def selector_from(
    named: str, shape: ModelShape, preset: str = "best", options: Mapping[str, str] | None = None
) -> LayerSelector:
    """`named` is a folder that `save` wrote, or a registered name for this model's shape.

    Besides its own options every selector takes `draft_stop` and `draft_tree` (`dressing`). What a
    selector is made of is said by its option `of`: names and folders, commas between them.
    """
    given = dict(options or {})
    own = {name: value for name, value in given.items() if name not in DRESSING}
    folder = Path(named)
    if not folder.is_dir():
        return dressed(_configured(named, shape, preset, own), given)
    if own:
        raise InvalidRequest(
            f"The selector in {named!r} was configured when it was calibrated, so {sorted(own)} "
            f"cannot be set. Calibrate again with them; {' and '.join(DRESSING)} can be set."
        )
    return dressed(selector_class(_saved_name(folder)).load(folder), given)


def _configured(
    name: str, shape: ModelShape, preset: str, options: Mapping[str, str]
) -> LayerSelector:
    found, given = selector_class(name), dict(options)
    if not found.combines:
        return found.configured(shape, preset, **given)
    parts = given.pop("of", ",".join(found.combines)).split(",")
    made = [selector_from(part.strip(), shape, preset) for part in parts]
    return found.combining(made, preset, **given)


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
