"""Settings of a comparison: presets, and settings from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from specframe.contract.options import (
    nearest,
    require_at_least,
    require_in,
    require_temperature,
)
from specframe.errors import InvalidConfig, InvalidRequest, shown
from specframe.prompts.usual import usual_prompts

__all__ = ["HEADLINE", "KEYS", "PRESETS", "BenchSettings", "settings_from_toml"]

NAMES_OF_0_1 = {"strategies": "selectors"}  # of settings, in runs and in files of settings
HOTTEST = 1e6  # temperature
HEADLINE = ("static-bo", "knn-ssd", "knapspec", "knap-knn")


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """Strategies x domains x contexts x temperatures.

    A strategy is a registered name, `name:preset`, `name:preset+setting=value+...`, or a folder
    that `calibrate` wrote; `all` stands for every registered one. No domains means all;
    context 0 leaves a prompt as it is; no prompts means the model's usual ones. `rivals` adds the
    early exit and the prompt lookup of transformers.
    """

    model: str = "testbed"
    prompts: str = ""
    strategies: tuple[str, ...] = HEADLINE
    domains: tuple[str, ...] = ()
    contexts: tuple[int, ...] = (0,)
    temperatures: tuple[float, ...] = (0.0,)
    per_domain: int = 3
    repeats: int = 2
    new_tokens: int = 64
    calibration_prompts: int = 12  # a domain
    calibration_seconds: float = 30.0  # per calibrated strategy, answers included
    rivals: bool = False
    device: str = "cpu"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        require_at_least(self, new_tokens=1)
        require_in(self, "[1, 1000]", "per_domain", "repeats", "calibration_prompts")
        require_in(self, "[0, 1000000]", "calibration_seconds")
        if not self.strategies:
            raise InvalidConfig.of(
                "BenchSettings", "strategies", "one or more names", self.strategies
            )
        if not self.contexts or min(self.contexts) < 0:
            raise InvalidConfig.of("BenchSettings", "contexts", "0 or more each", self.contexts)
        if not self.temperatures or not all(0.0 <= t <= HOTTEST for t in self.temperatures):
            raise InvalidConfig.of(
                "BenchSettings", "temperatures", f"from 0 to {HOTTEST:g} each", self.temperatures
            )
        for temperature in filter(None, self.temperatures):
            require_temperature("BenchSettings", temperature)

    @property
    def source(self) -> str:
        """Where the prompts come from."""
        return self.prompts or usual_prompts(self.model)

    def as_config(self) -> dict[str, Any]:
        """The settings as in a run's config, with the keys of earlier versions."""
        return {
            NAMES_OF_0_1.get(key, key): list(value) if isinstance(value, tuple) else value
            for key, value in {**asdict(self), "prompts": self.source}.items()
        }


KEYS: Mapping[str, str] = {
    "model": "`testbed`, `smollm2`, `planted-1.1B`, a folder, a .gguf file or a hub id.",
    "prompts": "`testbed`, `everyday`, a file of one JSON object per line, or `datasets:ID`; empty "
    "for the testbed's own, and `everyday` with any other model.",
    "strategies": "Names, `name:preset`, `name:preset+setting=value`, calibrated folders; `all`.",
    "domains": "Domains to use; none means all.",
    "contexts": "Lengths to which testbed and everyday prompts are filled up; 0: unchanged.",
    "temperatures": "0 is greedy.",
    "per_domain": "Prompts of each domain.",
    "repeats": "How often each contender generates for each prompt.",
    "new_tokens": "Maximum number of tokens per answer.",
    "calibration_prompts": "Prompts of each domain for calibration.",
    "calibration_seconds": "Seconds per calibrated strategy, including its share of answers.",
    "rivals": "Whether to include the early exit and the prompt lookup of transformers.",
    "device": "cpu or cuda.",
    "dtype": "auto (that of the stored weights), bfloat16, float16 or float32.",
}

PRESETS: Mapping[str, BenchSettings] = {
    "quick": BenchSettings(calibration_seconds=20.0),  # at most four minutes on two cores
    "standard": BenchSettings(strategies=("all",), per_domain=4, repeats=2, rivals=True),
    "full": BenchSettings(
        strategies=("all",),
        contexts=(0, 512, 1024, 1700),
        temperatures=(0.0, 0.7),
        per_domain=10,
        repeats=3,
        new_tokens=128,
        calibration_prompts=24,
        calibration_seconds=300.0,
        rivals=True,
    ),
}


def settings_from_toml(path: Path, base: BenchSettings) -> BenchSettings:
    """The base settings, changed by the file's `[grid]` table (or its top level).

    `selectors` is another name of `strategies` until 0.3.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise InvalidRequest(f"The grid {str(path)!r} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or numbers without end
        raise InvalidRequest(f"The grid {str(path)!r} is not TOML: {error}.") from error
    table: Any = content.get("grid", content)
    if not isinstance(table, dict):
        raise InvalidRequest(f"The grid {str(path)!r} must be a table of settings.")
    known: dict[str, Any] = {field.name: getattr(base, field.name) for field in fields(base)}
    changes: dict[str, Any] = {}
    renamed = {old: new for new, old in NAMES_OF_0_1.items()}
    for given, value in table.items():
        name = renamed.get(given, given)
        if name in changes:
            raise InvalidConfig(f"{str(path)!r} names {name} twice, once as {given}. Keep one.")
        if name not in known:
            raise InvalidConfig(
                f"BenchSettings has no key {shown(name)}.{nearest(str(name), known)} Known: "
                f"{', '.join(sorted(known))}."
            )
        changes[name] = _fitting(name, value, known[name])
    return replace(base, **changes)


def _fitting(name: str, value: Any, example: Any) -> Any:
    if isinstance(example, tuple) and isinstance(value, list):
        kind = get_args(get_type_hints(BenchSettings)[name])[0]
        return tuple(_fitting(name, item, kind()) for item in value)
    if isinstance(example, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(min(value, 1 << 63))  # too large for any setting
    if type(value) is not type(example):
        raise InvalidConfig.of("BenchSettings", name, f"of type {type(example).__name__}", value)
    return value
