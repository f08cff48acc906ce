"""Builds a strategy from a registered name with options, or loads it from a saved folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specframe.contract.drafting_options import DRAFTING_OPTIONS, drafting_from, with_drafting
from specframe.contract.options import preset_with
from specframe.contract.registry import strategy_class, strategy_names
from specframe.contract.selector import LayerSelector
from specframe.errors import ArtefactError, InvalidConfig, InvalidRequest
from specframe.storage.artefacts import read_manifest, require_made_for
from specframe.types import ModelShape

__all__ = [
    "Named",
    "is_folder",
    "option_pairs",
    "read_named",
    "require_strategy",
    "strategy_for",
    "strategy_from",
]

WEIGHTS = "parameters"  # the fact of a model that identifies its weights
PRESETS = ("best", "faithful")  # presets of the built-in strategies; other packages may have others


@dataclass(frozen=True, slots=True)
class Named:
    """A strategy as text: `name`, `name:preset` or `name:preset+setting=value+...`.

    The name is registered, a folder, or `package.module:Class`.
    """

    name: str
    preset: str
    options: Mapping[str, str]


def read_named(text: str, preset: str = "best") -> Named:
    """Parse the text; a folder's name is not parsed, since its preset is saved in it."""
    if is_folder(text):
        return Named(text, preset, {})
    head, *settings = text.split("+")
    if is_folder(head):
        return Named(head, preset, option_pairs(settings))
    name, own = _apart(head)
    return Named(name, own or preset, option_pairs(settings))


def strategy_for(
    given: LayerSelector | type[LayerSelector] | str | Path,
    shape: ModelShape,
    facts: Callable[[], Mapping[str, str]] = dict,
) -> LayerSelector:
    """A strategy from an instance, a class (preset `best`), a folder, or text as in `read_named`.

    A folder that was calibrated for other weights than those of `facts()` is refused.
    """
    if isinstance(given, type) and issubclass(given, LayerSelector):
        return _made(given, shape, "best", {}, {})
    if isinstance(given, str | Path):
        named = read_named(str(given))
        return strategy_from(named.name, shape, named.preset, named.options, facts())
    if isinstance(given, LayerSelector):
        return given
    raise InvalidConfig(
        f"A strategy is a LayerSelector, its class, a registered name or a folder that `save` "
        f"wrote. Got {type(given).__name__} instead."
    )


def _apart(head: str) -> tuple[str, str]:
    """A name and its preset (empty if none is given); 'package.module:Class' is one name."""
    name, colon, preset = head.rpartition(":")
    if colon and (name in strategy_names() or ":" in name or preset in PRESETS):
        return name, preset
    return head, ""


def is_folder(name: str) -> bool:
    """Whether this is the name of an existing folder."""
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def require_strategy(named: str, preset: str, options: Mapping[str, str]) -> None:
    """Raise the errors of `strategy_from` that need no model, before one is loaded."""
    own = _own_options(named, options)
    drafting_from(options)
    if is_folder(named):
        _saved(Path(named), {})
        return
    found = strategy_class(named)
    if not found.presets and preset not in PRESETS:
        raise InvalidConfig.of(found.__name__, "preset", " or ".join(PRESETS), preset)
    if found.combines:
        for part in _parts(found, own, preset):
            require_strategy(part.name, part.preset, part.options)
    if found.presets:
        preset_with(found.__name__, found.presets, preset, own)
    elif not found.combines:
        _plain(found, own)


def strategy_from(
    named: str | Path,
    shape: ModelShape,
    preset: str = "best",
    options: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> LayerSelector:
    """Load a strategy from a folder that `save` wrote, or create one by its registered name.

    Besides its own options, every strategy accepts those of `drafting_options`. The option `of`
    lists the parts of a combined strategy, separated by commas, each as in `read_named`. If the
    `facts` of a model are given, a folder that was calibrated for other weights is refused.
    """
    named, given, known = str(named), options or {}, facts or {}
    own = _own_options(named, given)
    if is_folder(named):
        return with_drafting(_saved(Path(named), known), given)
    return with_drafting(_made(strategy_class(named), shape, preset, own, known), given)


def _own_options(named: str, options: Mapping[str, str]) -> dict[str, str]:
    """Options other than those of drafting; a saved strategy does not accept any."""
    own = {name: value for name, value in options.items() if name not in DRAFTING_OPTIONS}
    if own and is_folder(named):
        raise InvalidRequest(
            f"The strategy in {named!r} was configured when it was calibrated, so {sorted(own)} "
            f"cannot be set now. Calibrate again with these settings. Only "
            f"{' and '.join(DRAFTING_OPTIONS)} can be set now."
        )
    return own


def _made(
    found: type[LayerSelector],
    shape: ModelShape,
    preset: str,
    options: Mapping[str, str],
    facts: Mapping[str, str],
) -> LayerSelector:
    given = dict(options)
    if found.combines:
        made = tuple(
            strategy_from(part.name, shape, part.preset, part.options, facts)
            for part in _parts(found, given, preset)
        )
        config = preset_with(found.__name__, found.presets, preset, given)
        return found(config=config, parts=made)  # type: ignore[call-arg]
    if found.presets:
        config = preset_with(found.__name__, found.presets, preset, given)
        return found.from_config(config, shape)
    return _plain(found, given)


def _parts(found: type[LayerSelector], given: dict[str, str], preset: str) -> list[Named]:
    """The parts of a combined strategy: those of the option `of`, which is removed, or defaults.

    A part without a preset gets that of the whole if it is `best` or `faithful`.
    """
    texts = given.pop("of", ",".join(found.combines)).split(",")
    return [read_named(text.strip(), preset if preset in PRESETS else "best") for text in texts]


def _plain(found: type[LayerSelector], options: Mapping[str, str]) -> LayerSelector:
    """A strategy without presets, which accepts no settings."""
    if options:
        raise InvalidConfig(
            f"{found.__name__} has no settings for the command line. Got "
            f"{', '.join(sorted(options))}; leave them out, or define `presets` on the class."
        )
    try:
        return found()
    except TypeError as error:
        raise InvalidConfig(
            f"{found.__name__} cannot be made from its name or class alone: {error}. Create the "
            f"strategy in Python, or define `presets` on the class."
        ) from error


def option_pairs(settings: Sequence[str]) -> dict[str, str]:
    """Settings like name=value, as a mapping."""
    pairs: dict[str, str] = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name:
            raise InvalidRequest(f"A setting has the form name=value. Got {setting!r} instead.")
        if name in pairs:
            raise InvalidRequest(f"{name} is set twice: {pairs[name]!r} and {value!r}. Keep one.")
        pairs[name] = value.strip()
    return pairs


def _saved(folder: Path, facts: Mapping[str, str]) -> LayerSelector:
    remedy = "Name a folder that `specframe calibrate` wrote."
    manifest = read_manifest(folder, remedy)
    name = manifest.get("kind")
    if (
        not isinstance(name, str) or name not in strategy_names()
    ):  # code named by a file is never imported
        raise ArtefactError(f"{folder} holds no strategy that is installed here. {remedy}")
    remedy = f"Run `specframe calibrate {name}` for this model."
    require_made_for(folder, manifest, _comparable(manifest, facts), remedy)
    return strategy_class(name).load(folder)


def _comparable(manifest: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, str]:
    """The fact that identifies the weights, if the manifest has it for the same dtype."""
    made_for = manifest.get("fingerprint")
    if not isinstance(made_for, dict) or made_for.get("dtype") != facts.get("dtype"):
        return {}
    return {WEIGHTS: facts[WEIGHTS]} if WEIGHTS in facts and WEIGHTS in made_for else {}
