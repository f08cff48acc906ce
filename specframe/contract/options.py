"""Converts settings given as text to the types of a configuration's fields."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar, get_type_hints

from specframe.errors import InvalidConfig, shown
from specframe.types import LONGEST_DRAFT

__all__ = [
    "finite",
    "nearest",
    "preset_with",
    "require_at_least",
    "require_draft_length",
    "require_in",
    "require_known",
    "require_temperature",
    "settable",
    "whole",
    "with_options",
]

LEAST_TEMPERATURE = 1e-30
LONGEST = 200  # characters of a name that are compared
Config = TypeVar("Config")


def require_at_least(config: object, **least: float) -> None:
    """Raise if a field is below its minimum; a field of several values needs at least one."""
    for name, low in least.items():
        found = getattr(config, name)
        several = isinstance(found, tuple)
        least_found = min(found, default=float("nan")) if several else found
        if not least_found >= low:  # NaN is refused, too
            wanted = f"at least {low}{' each, one or more' * several}"
            raise InvalidConfig.of(type(config).__name__, name, wanted, found)


def require_draft_length(config: object, *fields: str) -> None:
    """Raise if a field that limits the length of drafts is below 1 or above `LONGEST_DRAFT`."""
    require_in(config, f"[1, {LONGEST_DRAFT}]", *fields)


def require_known(config: object, **known: Sequence[str]) -> None:
    """Raise if the value of a field is not one of the known names."""
    for name, names in known.items():
        found = getattr(config, name)
        if found not in names:
            raise InvalidConfig.of(type(config).__name__, name, " or ".join(names), found)


def require_in(config: object, interval: str, *fields: str) -> None:
    """Raise if a field is outside an interval such as "(0, 1]": above 0 and at most 1."""
    low, high = map(float, interval[1:-1].split(","))
    for name in fields:
        found = getattr(config, name)
        inside = low <= found <= high
        at_open_end = (found == low and interval[0] == "(") or (
            found == high and interval[-1] == ")"
        )
        if not inside or at_open_end:
            raise InvalidConfig.of(type(config).__name__, name, f"in {interval}", found)


def require_temperature(owner: str, temperature: float) -> None:
    """Raise if logits divided by this temperature exceed float32; 0 is not allowed either."""
    if temperature < LEAST_TEMPERATURE:
        wanted = f"0, which is greedy, or at least {LEAST_TEMPERATURE:g}, as logits are float32"
        raise InvalidConfig.of(owner, "temperature", wanted, temperature)


def preset_with(
    owner: str, presets: Mapping[str, Config], preset: str, options: Mapping[str, str]
) -> Config:
    """The preset of this name, with the options applied as by `with_options`."""
    if preset not in presets:
        raise InvalidConfig.of(owner, "preset", " or ".join(map(repr, presets)), preset)
    return with_options(presets[preset], options)


def nearest(name: str, known: Iterable[str]) -> str:
    """The text " Did you mean ...?" with the most similar known name; empty if there is none."""
    near = difflib.get_close_matches(name[:LONGEST], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def with_options(config: Config, options: Mapping[str, str]) -> Config:
    """The configuration with these fields replaced; text is converted to the field's type."""
    owner = type(config).__name__
    hints = get_type_hints(type(config))
    names = [field.name for field in fields(config)]  # type: ignore[arg-type]
    for name in options:
        if name not in names:
            raise InvalidConfig(
                f"{owner} has no parameter {shown(name)}.{nearest(name, names)} Known: "
                f"{', '.join(sorted(names))}."
            )
    values = {name: _read(owner, name, hints[name], text) for name, text in options.items()}
    return replace(config, **values)  # type: ignore[type-var]


def settable(config: Any) -> dict[str, Any]:
    """The fields that text can set, with their current values."""
    hints = get_type_hints(type(config))
    return {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if hints[field.name] in _READERS
    }


def _read(owner: str, name: str, kind: Any, text: str) -> Any:
    if kind not in _READERS:
        raise InvalidConfig(f"The {name!r} parameter of {owner} can only be given in Python.")
    constraint, read = _READERS[kind]
    try:
        return read(text)
    except ValueError:
        raise InvalidConfig.of(owner, name, constraint, text) from None


def _several(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def finite(text: str) -> float:
    """The text as a number; NaN and infinity raise a ValueError as well."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def whole(text: str) -> int:
    """The text as a whole number from 0 to 2^63 - 1; otherwise a ValueError."""
    value = int(text)
    if value < 0 or value.bit_length() > 63:
        raise ValueError(text)
    return value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_READERS: Mapping[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("a whole number from 0 to 2^63 - 1", whole),
    float: ("a finite number", finite),
    bool: ("true or false", _truth),
    str: ("text", str),
    int | str: ("text or a number", str),
    tuple[int, ...]: ("whole numbers from 0 separated by commas", _several(whole)),
    tuple[float, ...]: ("finite numbers separated by commas", _several(finite)),
    tuple[str, ...]: ("names separated by commas", _several(str)),
}
