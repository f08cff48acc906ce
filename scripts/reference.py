"""Reference tables generated from the code: commands, errors, settings, keys of results."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

from tables import table
from typer.main import get_command

import specframe.errors as error_tree
from specframe.bench.settings import KEYS, PRESETS, BenchSettings
from specframe.commands.cli import app
from specframe.contract.naming import strategy_from
from specframe.contract.options import settable, with_options
from specframe.contract.registry import strategy_class, strategy_names
from specframe.types import ModelShape

VALUES = {int: "N", float: "X", Path: "PATH"}
PRESET_NAMES = ("best", "faithful")
SHAPE = ModelShape(24, 256, 3072, 8, 4, 32, 640, 2048)  # the testbed's


def commands() -> str:
    """One section per command, with every argument and option."""
    return "\n\n".join(_command(path, command) for path, command in _tree((), get_command(app)))


def _tree(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path:
        yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _tree((*path, name), child)


def _command(path: tuple[str, ...], command: Any) -> str:
    name = " ".join(("specframe", *path))
    parts = [f"## {name}", cleandoc(command.help or "")]
    if command.params:
        lines = (
            [f"`{_spelling(p)}`", _default(p), p.help or ""] for p in command.params if not p.hidden
        )
        parts.append(table(["", "default", "meaning"], lines))
    return "\n\n".join(parts)


def _spelling(parameter: Any) -> str:
    name = "/".join(parameter.opts)
    if not name.startswith("--"):
        return parameter.metavar or name.upper()
    if parameter.is_flag:
        return name
    kind = parameter.type_descriptor.annotation
    kind = next(iter(get_args(kind)), kind)  # one of a list
    return f"{name} {parameter.metavar or VALUES.get(kind, 'TEXT')}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default is None or parameter.default is False:
        return ""
    return f"`{parameter.default}`"


def errors() -> str:
    """Every error: when it is raised and what to do."""
    lines = []
    for name in sorted(error_tree.__all__):
        kind = getattr(error_tree, name)
        if name == "SpecframeError":
            continue
        when, _, remedy = " ".join(cleandoc(kind.__doc__).split()).partition(" Remedy: ")
        lines.append([f"`{name}`", when, remedy[:1].upper() + remedy[1:]])
    return table(["error", "when", "what to do"], lines)


def grid() -> str:
    """The keys of a benchmark grid with their values in each preset."""
    names = list(PRESETS)
    lines = (
        [
            f"`{field.name}`",
            KEYS[field.name],
            *(_shown(PRESETS[name], field.name) for name in names),
        ]
        for field in fields(BenchSettings)
    )
    return table(["key", "meaning", *(f"`{name}`" for name in names)], lines)


def _shown(config: Any, name: str) -> str:
    value = getattr(config, name)
    if isinstance(value, tuple):
        value = list(value)
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def settings() -> str:
    """The options of `--set` for each strategy, with the values of both presets."""
    parts = []
    for name in strategy_names():
        by_preset = {preset: _settable(name, preset) for preset in PRESET_NAMES}
        known = list(dict.fromkeys(key for values in by_preset.values() for key in values))
        if not known:
            continue
        lines = ([f"`{key}`", *(_as_set(by_preset[p], key) for p in PRESET_NAMES)] for key in known)
        parts += [f"### {name}", table(["setting", *(f"`{p}`" for p in PRESET_NAMES)], lines)]
    return "\n\n".join(parts)


def _as_set(values: Mapping[str, Any], key: str) -> str:
    """The value as written after `--set`; empty if the preset has no such setting."""
    if key not in values:
        return ""
    value = values[key]
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else ""


def _settable(name: str, preset: str) -> Mapping[str, Any]:
    """The settings that a strategy passes to `with_options` when it is created."""
    strategy_class(name)  # its module must be imported before `with_options` is patched
    seen: list[Any] = []

    def watch(config: Any, options: Mapping[str, str]) -> Any:
        seen.append(config)
        return with_options(config, options)

    with ExitStack() as patches:
        for module in list(sys.modules):
            if module.startswith("specframe.") and hasattr(
                sys.modules[module], with_options.__name__
            ):
                patches.enter_context(patch(f"{module}.{with_options.__name__}", watch))
        strategy_from(name, SHAPE, preset)
    return settable(seen[-1]) if seen else {}  # the parts of a combined strategy are made first


def keys(sentences: Mapping[str, str]) -> str:
    """The keys of results, rows or summaries with their meanings."""
    return table(["key", "meaning"], ([f"`{key}`", text] for key, text in sentences.items()))
