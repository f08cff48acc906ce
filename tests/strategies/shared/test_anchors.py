"""Anchors of labelled domains, and domains of unlabelled prompts."""

import pytest
import torch

from specframe.errors import InvalidConfig
from specframe.strategies.shared.domains.anchors import cluster_prompts, labelled_anchors

CENTRES = torch.tensor([[10.0, 0.0], [0.0, 10.0], [-10.0, -10.0]])


def blobs(each: int = 12) -> tuple[torch.Tensor, list[str]]:
    noise = torch.randn(3 * each, 2, generator=torch.Generator().manual_seed(0))
    labels = [name for name in ("sql", "story", "sum") for _ in range(each)]
    return CENTRES.repeat_interleave(each, 0) + noise, labels


def test_one_centroid_a_domain_is_its_mean():
    vectors, labels = blobs()
    anchors = labelled_anchors(vectors, labels, per_domain=1)
    assert anchors.labels == ("sql", "story", "sum")
    torch.testing.assert_close(anchors.vectors, vectors.view(3, 12, 2).mean(1))


def test_members_are_vectors_that_were_given():
    vectors, labels = blobs()
    anchors = labelled_anchors(vectors, labels, per_domain=4, kind="members")
    assert len(anchors.labels) == 12
    for vector, label in zip(anchors.vectors, anchors.labels, strict=True):
        rows = [i for i in range(len(vectors)) if torch.equal(vectors[i], vector)]
        assert [labels[i] for i in rows] == [label]


def test_a_domain_of_few_prompts_keeps_them_all():
    vectors, labels = blobs(each=3)
    anchors = labelled_anchors(vectors, labels, per_domain=10)
    assert sorted(map(tuple, anchors.vectors.tolist())) == sorted(map(tuple, vectors.tolist()))


def test_the_same_prompt_twice_is_one_anchor():
    vectors = torch.tensor([[1.0, 2.0]] * 5 + [[3.0, 4.0]])
    anchors = labelled_anchors(vectors, ["a"] * 6, per_domain=4)
    assert len(anchors.labels) == 2


@pytest.mark.filterwarnings("ignore:.*leak on Windows")
def test_pooled_prompts_fall_into_the_blobs_they_came_from():
    vectors, labels = blobs()
    found = cluster_prompts(vectors)
    assert len(set(found.labels)) == 3
    assert len(set(zip(found.labels, labels, strict=True))) == 3
    assert found.labels[0] == "task-1"
    assert found.silhouette > 0.7


def test_prompts_that_do_not_differ_are_one_cluster():
    found = cluster_prompts(torch.ones(6, 4))
    assert found.labels == ("task-1",) * 6


def test_an_unknown_kind_of_anchor_is_refused():
    with pytest.raises(InvalidConfig, match="kind"):
        labelled_anchors(torch.ones(2, 2), ["a", "b"], kind="medians")
