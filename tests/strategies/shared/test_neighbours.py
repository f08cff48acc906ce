"""Nearest anchors, exact and by the graph, and their vote."""

import sys

import pytest
import torch
from doubles.reference_data import REFERENCE
from hypothesis import given
from hypothesis import strategies as st

from specframe.errors import InvalidConfig
from specframe.strategies.shared.domains.neighbours import (
    ExactIndex,
    GraphIndex,
    build_index,
    distances,
    vote,
)
from specframe.strategies.shared.published import read_anchors


def cloud(count: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def by_hand(query, anchors, metric):
    """Distances by the definition, one anchor at a time."""
    if metric == "euclid":
        return [float(((anchor - query) ** 2).sum().sqrt()) for anchor in anchors]
    return [
        1.0 - float((anchor * query).sum() / ((anchor**2).sum().sqrt() * (query**2).sum().sqrt()))
        for anchor in anchors
    ]


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
@given(seed=st.integers(0, 10_000))
def test_the_exact_index_orders_anchors_as_the_definition_does(metric, seed):
    anchors, query = cloud(20, 6, seed), cloud(1, 6, seed + 1)[0]
    far = by_hand(query, anchors, metric)
    numbers, found = ExactIndex(anchors, metric).nearest(query, 5)
    assert numbers == sorted(range(20), key=far.__getitem__)[:5]
    assert found == pytest.approx(sorted(far)[:5], abs=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_the_graph_finds_the_same_neighbours_as_the_exact_index(metric):
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: pip install 'specframe[ann]'")
    anchors = cloud(3_000, 32)
    exact, graph = ExactIndex(anchors, metric), GraphIndex(anchors, metric)
    for query in cloud(200, 32, seed=9):
        numbers, far = exact.nearest(query, 5)
        approximate, near = graph.nearest(query, 5)
        assert approximate == numbers
        assert near == pytest.approx(far, abs=1e-5)


def test_equal_anchors_are_named_in_their_order():
    anchors = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    assert ExactIndex(anchors, "cosine").nearest(torch.tensor([3.0, 0.0]), 3)[0] == [1, 2, 3]
    assert ExactIndex(anchors, "euclid").nearest(torch.tensor([1.0, 0.0]), 2)[0] == [1, 3]


def test_the_number_of_anchors_decides_between_the_two():
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: pip install 'specframe[ann]'")
    assert isinstance(build_index(cloud(30), graph_from=31), ExactIndex)
    assert isinstance(build_index(cloud(31), graph_from=31), GraphIndex)
    assert isinstance(build_index(cloud(31), kind="exact", graph_from=31), ExactIndex)
    assert isinstance(build_index(cloud(4), kind="graph"), GraphIndex)


def test_without_the_graph_library_many_anchors_are_searched_exactly(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    assert isinstance(build_index(cloud(31), graph_from=31), ExactIndex)


def test_an_unknown_kind_of_index_is_refused():
    with pytest.raises(InvalidConfig, match="auto or exact or graph"):
        build_index(cloud(4), kind="tree")


def test_a_missing_graph_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(InvalidConfig, match=r"specframe\[ann\]"):
        GraphIndex(cloud(4))


def test_a_vector_without_length_is_far_from_everything_by_cosine():
    assert distances(torch.zeros(2), torch.eye(2), "cosine").tolist() == [1.0, 1.0]


def test_an_unknown_metric_is_refused():
    with pytest.raises(InvalidConfig, match="metric"):
        ExactIndex(cloud(3), "manhattan")


def test_the_nearer_of_two_equal_camps_wins():
    found = vote(["sql", "story", "story", "sql"], [0.1, 0.2, 0.2, 0.4])
    assert found.label == "sql"
    assert found.distance == pytest.approx(0.1)
    assert found.margin == pytest.approx((12.5 - 10.0) / 22.5)


def test_two_farther_neighbours_outvote_one_near():
    found = vote(["sql", "story", "story"], [0.1, 0.15, 0.15])
    assert found.label == "story"
    assert found.distance == pytest.approx(0.15)


def test_an_unopposed_winner_has_the_full_margin():
    assert vote(["sql", "sql"], [0.0, 0.3]).margin == 1.0


def test_the_published_anchors_keep_their_labels_under_perturbation():
    folder = REFERENCE / "published"
    if not folder.is_dir():
        pytest.skip(f"the published anchors are not at {folder}")
    anchors = read_anchors(
        folder / "knn-ssd_llama-2-13b_anchors.npy", folder / "knn-ssd_llama-2-13b_labels.npy"
    )
    assert anchors.vectors.shape == (50, 5120)
    noise = cloud(50, 5120) * (0.2 * anchors.vectors.norm(dim=-1, keepdim=True) / 5120**0.5)
    for metric in ("cosine", "euclid"):
        index = ExactIndex(anchors.vectors, metric)
        found = [anchors.labels[index.nearest(q, 1)[0][0]] for q in anchors.vectors + noise]
        assert found == list(anchors.labels)


def test_hand_made_anchors_keep_their_labels_under_perturbation():
    centres = {"sum": [9.0, 1.0, 0.0], "sql": [0.0, 9.0, 1.0], "story": [1.0, 0.0, 9.0]}
    anchors = torch.tensor(list(centres.values()))
    index = ExactIndex(anchors)
    for label, centre in centres.items():
        for noise in cloud(20, 3, seed=5):
            number = index.nearest(torch.tensor(centre) + noise, 1)[0][0]
            assert list(centres)[number] == label
