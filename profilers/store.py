"""Stores profiles in the user's cache folder, one for each machine, executor and shape."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from specframe.profilers.latency import LatencyGrid, LatencyProfile
from specframe.storage.artefacts import MANIFEST, load_artefact, save_artefact
from specframe.storage.user_cache import cache_folder

__all__ = ["find_profile", "keep_profile", "load_profile", "profile_folder", "save_profile"]

KIND = "latency profile"
REMEDY = "Run `specframe profile --again` on this machine."


def save_profile(profile: LatencyProfile, folder: Path | None = None) -> Path:
    """Write a profile to its place in the user's cache, or to another folder."""
    folder = folder or profile_folder(profile.costs.facts)
    save_artefact(folder, profile, kind=KIND, fingerprint=profile.costs.facts)
    return folder


def load_profile(folder: Path, facts: Mapping[str, str]) -> LatencyProfile:
    """Read a profile; raise if it is for another machine, executor or shape."""
    return load_artefact(folder, LatencyProfile, kind=KIND, fingerprint=facts, remedy=REMEDY)


def profile_folder(facts: Mapping[str, str]) -> Path:
    """The folder of the profile for these facts."""
    key = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:24]
    return cache_folder() / "profiles" / key


def find_profile(
    facts: Mapping[str, str], grid: LatencyGrid | None = None
) -> LatencyProfile | None:
    """The stored profile for these facts; None if there is none that covers the grid."""
    folder = profile_folder(facts)
    if not (folder / MANIFEST).exists():
        return None
    kept = load_profile(folder, facts)
    return kept if grid is None or _covers(kept, grid) else None


def keep_profile(profile: LatencyProfile) -> None:
    """Store a profile, unless the one that is stored has prices which it lacks."""
    kept = find_profile(profile.costs.facts)
    if kept is not None:
        base = kept.costs.base
        if not _covers(profile, LatencyGrid(base.contexts, base.rows)):
            return
    save_profile(profile)


def _covers(profile: LatencyProfile, grid: LatencyGrid) -> bool:
    base = profile.costs.base
    return set(grid.contexts) <= set(base.contexts) and set(grid.rows) <= set(base.rows)
