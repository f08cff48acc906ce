"""Published skip-set files: a hand-made one of each format, and the authors' own."""

import json
from pathlib import Path

import numpy as np
import pytest
from doubles.reference_data import REFERENCE

from specframe.errors import ArtefactError, InvalidConfig, InvalidSkipSet
from specframe.strategies.shared.published import read_anchors, read_skip_sets

ENTRY = {"attention": [1, 3], "mlp": [2]}


def written(folder: Path, content: object) -> Path:
    path = folder / "sets.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("format", "name", "model", "domain"),
    [
        ("draft-verify", "llama-2-13b-chat", "llama-2-13b-chat", ""),
        ("swift", "llama-2-13b_chat_cnndm", "llama-2-13b_chat", "cnndm"),
        ("knn-ssd", "math_number_theory_llama-2-13b", "llama-2-13b", "math_number_theory"),
    ],
)
def test_model_and_domain_are_read_from_a_name(tmp_path, format, name, model, domain):
    (found,) = read_skip_sets(written(tmp_path, {name: ENTRY}), format)
    assert (found.model, found.domain) == (model, domain)
    assert found.skips(4).attention == (1, 3)
    assert found.skips(4).mlp == (2,)


def test_files_can_be_named_by_text(tmp_path):
    assert read_skip_sets(str(written(tmp_path, {"m": ENTRY})), "swift")[0].mlp == (2,)


def test_a_set_that_names_more_layers_than_the_model_has_is_refused(tmp_path):
    (found,) = read_skip_sets(written(tmp_path, {"m": ENTRY}), "draft-verify")
    with pytest.raises(InvalidSkipSet, match="3 layers"):
        found.skips(3)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"m": [1]},
        {"m": {"attention": [1]}},
        {"m": {"attention": [1.5], "mlp": []}},
        {"m": {"attention": [-1], "mlp": []}},
        {"m": {"attention": "1", "mlp": []}},
    ],
)
def test_what_is_no_skip_set_file_is_refused_by_name(tmp_path, content):
    with pytest.raises(ArtefactError, match=r"sets\.json"):
        read_skip_sets(written(tmp_path, content), "swift")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ArtefactError, match=r"nothing\.json"):
        read_skip_sets(tmp_path / "nothing.json", "swift")


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match="format"):
        read_skip_sets(written(tmp_path, {"m": ENTRY}), "eagle")


def test_anchors_without_as_many_labels_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    np.save(tmp_path / "l.npy", np.array(["x", "y"]))
    with pytest.raises(ArtefactError, match="do not match"):
        read_anchors(tmp_path / "a.npy", tmp_path / "l.npy")


@pytest.mark.parametrize(
    ("file", "format", "layers"),
    [
        ("draft-verify_skip_layers.json", "draft-verify", 80),
        ("swift_skip_layers.json", "swift", 80),
        ("knn-ssd_llama-2-13b_skip.json", "knn-ssd", 40),
        ("knn-ssd_qwen-2.5-14b_skip.json", "knn-ssd", 48),
    ],
)
def test_the_authors_own_files_are_read_whole(file, format, layers):
    path = REFERENCE / "published" / file
    if not path.exists():
        pytest.skip(f"the published skip sets are not at {path}")
    raw = json.loads(path.read_text())
    found = read_skip_sets(path, format)
    for entry, (name, layers_by_kind) in zip(found, raw.items(), strict=True):
        assert entry.model in name
        assert entry.domain in name
        skips = entry.skips(layers)
        assert list(skips.attention) == layers_by_kind["attention"]
        assert list(skips.mlp) == layers_by_kind["mlp"]


def test_broken_anchors_name_both_files(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((3, 4)))
    (tmp_path / "labels.npy").write_bytes(b"no array")
    with pytest.raises(ArtefactError, match=r"vectors.npy and .*labels.npy are not anchors"):
        read_anchors(tmp_path / "vectors.npy", tmp_path / "labels.npy")
