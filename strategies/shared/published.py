"""Skip-set files that authors of self-speculative decoding published.

All three formats map a name to the layers whose attention and whose MLP are skipped. The name is
the model in Draft & Verify, `model_dataset` in SWIFT, and `domain_model` in KNN-SSD.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from specframe.errors import ArtefactError, InvalidConfig, InvalidRequest
from specframe.strategies.shared.domains.anchors import Anchors
from specframe.types import SkipSet

__all__ = ["FORMATS", "PublishedSet", "read_anchors", "read_entry", "read_skip_sets"]


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """One entry of a file; a domain that the format does not name is empty."""

    model: str
    domain: str
    attention: tuple[int, ...]  # layer numbers
    mlp: tuple[int, ...]

    def skips(self, layers: int) -> SkipSet:
        """The skip set for a model with this number of layers."""
        return SkipSet.of(layers, attention=self.attention, mlp=self.mlp)


# format -> how a name splits into model and domain
FORMATS: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "draft-verify": lambda name: (name, ""),
    "swift": lambda name: (name.rpartition("_")[0], name.rpartition("_")[2]),
    "knn-ssd": lambda name: (name.rpartition("_")[2], name.rpartition("_")[0]),
}


def read_skip_sets(path: str | Path, format: str) -> tuple[PublishedSet, ...]:
    """All entries of a file, in its order, for `StaticBO.from_published` and the like.

    `format` is whose file it is: draft-verify, swift or knn-ssd.
    """
    if format not in FORMATS:
        raise InvalidConfig.of("read_skip_sets", "format", " or ".join(FORMATS), format)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(content, dict) or not content:
        raise _unreadable(path, "no names at the top level")
    return tuple(
        PublishedSet(
            *FORMATS[format](name),
            *(_layers(path, name, entry, kind) for kind in ("attention", "mlp")),
        )
        for name, entry in content.items()
    )


def read_entry(path: str | Path, entry: str | None) -> PublishedSet:
    """One entry by its full name; the only one of a file needs no name."""
    named = {found.model: found for found in read_skip_sets(path, "draft-verify")}
    if entry is None and len(named) == 1:
        return next(iter(named.values()))
    if entry not in named:
        asked = "no entry was named" if entry is None else f"it has no {entry!r}"
        raise InvalidRequest(
            f"{path} holds several skip sets, and {asked}. Name one of: {', '.join(named)}."
        )
    return named[entry]


def read_anchors(vectors: str | Path, labels: str | Path) -> Anchors:
    """KNN-SSD's anchor file [A, H] and its labels [A], both numpy arrays."""
    try:
        points, names = np.load(vectors, allow_pickle=False), np.load(labels, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _no_anchors(vectors, labels, str(error)) from error
    if points.ndim != 2 or names.shape != points.shape[:1]:
        reason = f"shapes {points.shape} and {names.shape} do not match"
        raise _no_anchors(vectors, labels, reason)
    return Anchors(torch.from_numpy(points).float(), tuple(str(name) for name in names))


def _layers(path: str | Path, name: str, entry: Any, kind: str) -> tuple[int, ...]:
    layers = entry.get(kind) if isinstance(entry, dict) else None
    if not isinstance(layers, list) or not all(type(i) is int and i >= 0 for i in layers):
        raise _unreadable(path, f"{name!r} has no list of layer numbers under {kind!r}")
    return tuple(sorted(set(layers)))


def _unreadable(path: str | Path, reason: str) -> ArtefactError:
    return ArtefactError(
        f"{path} is not a published skip-set file: {reason}. Each name must map to "
        f'{{"attention": [layers], "mlp": [layers]}}.'
    )


def _no_anchors(vectors: str | Path, labels: str | Path, reason: str) -> ArtefactError:
    return ArtefactError(
        f"{vectors} and {labels} are not anchors with their labels: {reason}. Both are numpy "
        f"arrays, one row and one label an anchor."
    )
