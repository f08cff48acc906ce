"""Where prompts lie in hidden space, for a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specframe.calibration.lab import ModelLab
from specframe.types import Prompt

__all__ = ["prompt_map"]

POOLING = "normed-mean"
FEWEST = 5  # points that make a picture


def prompt_map(lab: ModelLab, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Principal components and t-SNE of the prompts' pooled last hidden states."""
    if len(prompts) < FEWEST:
        return []
    vectors = lab.vectors(prompts, lab.shape.sublayers, POOLING).double().numpy()
    vectors -= vectors.mean(0)
    flat, near = _principal(vectors), _neighbourly(vectors)
    return [
        {"prompt": prompt.name, "domain": prompt.domain, "pca": _pair(a), "tsne": _pair(b)}
        for prompt, a, b in zip(prompts, flat, near, strict=True)
    ]


def _principal(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    found: NDArray[np.float64] = PCA(2, svd_solver="full").fit_transform(vectors)
    return found


def _neighbourly(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    perplexity = min(10.0, (len(vectors) - 1) / 3)
    made = TSNE(2, perplexity=perplexity, init="pca", random_state=0, metric="cosine")
    found: NDArray[np.float64] = made.fit_transform(vectors)
    return found


def _pair(point: NDArray[np.float64]) -> list[float]:
    return [float(point[0]), float(point[1])]
