"""Selectors by name, from entry points: built-in ones and third parties' alike."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from specframe.errors import UnknownSelector

if TYPE_CHECKING:
    from specframe.contract.selector import LayerSelector

__all__ = ["GROUP", "selector_class", "selector_names"]

GROUP = "specframe.selectors"


def selector_names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_entries())


def selector_class(name: str) -> type[LayerSelector]:
    """The class behind a name, or behind 'package.module:Class'."""
    if ":" in name:
        return _load(EntryPoint(name, name, GROUP))
    entries = _entries()
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownSelector(
            f"no selector named {name!r}.{hint} Known: {', '.join(sorted(entries))}."
        )
    return _load(entries[name])


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> type[LayerSelector]:
    try:
        loaded: Any = entry.load()
    except (ImportError, AttributeError) as error:
        raise UnknownSelector(
            f"the selector {entry.name!r} cannot be loaded from {entry.value!r}: {error}. "
            f"Check that its package is installed."
        ) from error
    found: type[LayerSelector] = loaded
    return found
