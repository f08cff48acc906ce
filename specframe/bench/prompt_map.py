"""Where prompts lie in hidden space, for a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specframe.calibration.lab import ModelLab
from specframe.types import Prompt

__all__ = ["prompt_map"]

POOLING = "normed-mean"
FEWEST = 5  # prompts that are worth a picture


def prompt_map(lab: ModelLab, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Principal components and t-SNE of the prompts' pooled last hidden states."""
    if len(prompts) < FEWEST:
        return []
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    vectors = lab.vectors(prompts, lab.shape.sublayers, POOLING).double().numpy()
    vectors -= vectors.mean(0)
    perplexity = min(10.0, (len(vectors) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=0, metric="cosine")
    flat, near = PCA(2, svd_solver="full").fit_transform(vectors), tsne.fit_transform(vectors)
    return [
        {"prompt": prompt.name, "domain": prompt.domain, "pca": a.tolist(), "tsne": b.tolist()}
        for prompt, a, b in zip(prompts, flat, near, strict=True)
    ]
