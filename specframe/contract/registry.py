"""Strategies by name, from the entry points of this package and of others."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from specframe.contract.options import nearest
from specframe.errors import UnknownStrategy, shown

if TYPE_CHECKING:
    from specframe.contract.selector import LayerSelector

__all__ = ["GROUP", "strategy_class", "strategy_names"]

GROUP = "specframe.strategies"
OLD_GROUP = "specframe.selectors"  # of 0.1; its classes raise an error on how to migrate


def strategy_names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_entries())


def strategy_class(name: str) -> type[LayerSelector]:
    """The class registered under a name, or given as 'package.module:Class'."""
    entries = _entries()
    head, colon, rest = name.partition(":")
    if colon and head in entries:
        raise UnknownStrategy(
            f"{shown(name)} is read as a class in a package {head!r}. If you mean the strategy "
            f"{head!r}, give {shown(rest)} with --preset."
        )
    if colon:
        return _load(EntryPoint(name, name, GROUP))
    if name not in entries:
        raise UnknownStrategy(
            f"no strategy named {shown(name)}.{nearest(name, entries)} Known: "
            f"{', '.join(sorted(entries))}."
        )
    return _load(entries[name])


def _entries() -> dict[str, EntryPoint]:
    found = [entry for group in (OLD_GROUP, GROUP) for entry in entry_points(group=group)]
    return {entry.name: entry for entry in found}


def _load(entry: EntryPoint) -> type[LayerSelector]:
    try:
        loaded: Any = entry.load()
    except (ImportError, AttributeError) as error:
        raise UnknownStrategy(
            f"the strategy {entry.name!r} cannot be loaded from {entry.value!r}: {error}. "
            f"Check that its package is installed."
        ) from error
    from specframe.contract.selector import LayerSelector

    if not (isinstance(loaded, type) and issubclass(loaded, LayerSelector)):
        raise UnknownStrategy(
            f"{entry.value!r} is no strategy. Name one that `specframe ls` shows, or a subclass of "
            f"LayerSelector."
        )
    return loaded
