"""A run's results by settings, contenders and domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specframe.bench.report.wording import plural
from specframe.bench.summary import BASELINE, LIBRARY, MEAN

__all__ = [
    "Comparison",
    "ContenderName",
    "Entry",
    "Setting",
    "contender_of",
    "machine",
    "setting_of",
]

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """Only entries of the same setting are compared."""

    context: int
    temperature: float

    def __str__(self) -> str:
        length = f"context {self.context}" if self.context else "prompts as they come"
        choice = f"temperature {self.temperature:g}" if self.temperature else "greedy"
        return f"{length}, {choice}"


@dataclass(frozen=True, slots=True, order=True)
class ContenderName:
    """A strategy with a preset, or transformers; `str` gives the spelling of the command line."""

    selector: str
    preset: str

    def __str__(self) -> str:
        if self.preset in ("", "best"):
            return self.selector
        name, plus, settings = self.selector.partition("+")
        return f"{name}:{self.preset}{plus}{settings}"

    @property
    def facts(self) -> dict[str, str]:
        """Attributes for the marks of figures."""
        return {"selector": self.selector, "preset": self.preset}

    @property
    def kind(self) -> str:
        """`baseline`, `library` or `strategy`."""
        if self.selector == BASELINE:
            return "baseline"
        ours = self.selector != LIBRARY and not self.selector.startswith(f"{LIBRARY}-")
        return "strategy" if ours else "library"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The content of one results file."""

    results: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.results.get("run") or "run")

    @property
    def rows(self) -> list[Entry]:
        """One per answer."""
        return list(self.results.get("rows") or [])

    @property
    def summary(self) -> list[Entry]:
        """One per contender, domain and setting."""
        return list(self.results.get("summary") or [])

    @property
    def settings(self) -> list[Setting]:
        """In their original order."""
        return list(dict.fromkeys(setting_of(entry) for entry in self.summary))

    @property
    def domains(self) -> list[str]:
        """In their original order, without their mean."""
        found = dict.fromkeys(str(entry["domain"]) for entry in self.summary)
        return [domain for domain in found if domain != MEAN]

    def entries(self, setting: Setting, domain: str | None = None) -> list[Entry]:
        """Summary entries of a setting (and domain)."""
        return [
            entry
            for entry in self.summary
            if setting_of(entry) == setting and domain in (None, entry["domain"])
        ]

    @property
    def studies(self) -> dict[str, Mapping[str, Any]]:
        """Results of studies by name."""
        found = self.results.get("studies") or {}
        return {name: study for name, study in found.items() if isinstance(study, Mapping)}

    @property
    def engine(self) -> Mapping[str, Any] | None:
        """The figures of `bench engine`, if its file is in the run's folder."""
        found = self.results.get("engine")
        return found if isinstance(found, Mapping) else None

    @property
    def model(self) -> str:
        """Name of the model; empty if unknown."""
        config = self.results.get("config") or {}
        return str(config.get("model") or "") if isinstance(config, Mapping) else ""

    @property
    def real(self) -> Comparison | None:
        """The same strategies on a real model, if that was run, too."""
        found = self.results.get("real_model")
        return Comparison(found) if isinstance(found, Mapping) else None

    @property
    def only_studies(self) -> bool:
        """Whether nothing was compared."""
        return bool(self.studies) and not self.rows and not self.summary

    def of_study(self, name: str) -> Mapping[str, Any] | None:
        """The results of a study, if it ran."""
        return self.studies.get(name)


def setting_of(entry: Entry) -> Setting:
    """Setting of a row or summary entry."""
    return Setting(int(entry["context"]), float(entry["temperature"]))


def contender_of(entry: Entry) -> ContenderName:
    """Contender of a row or summary entry."""
    return ContenderName(str(entry["selector"]), str(entry["preset"]))


def machine(comparison: Comparison) -> list[str]:
    """Processor and threads of a run, as far as they are known."""
    found = comparison.results.get("environment") or {}
    threads = found.get("threads")
    named = str(found.get("gpu") or found.get("processor") or "")
    return [part for part in (named, plural(threads, "thread") if threads else "") if part]
