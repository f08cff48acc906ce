"""`specframe import-sets`: from published files to a folder that `generate` can use."""

import json

import numpy as np
import pytest
import torch
from doubles.command_line import specframe
from doubles.reference_data import REFERENCE
from doubles.tiny import Tiny, tiny_model

from specframe import Rig, SelfSpeculator
from specframe.commands.import_sets import import_sets
from specframe.contract.naming import strategy_from
from specframe.doors.loading import Loaded
from specframe.errors import CalibrationMismatch
from specframe.types import SkipSet

TINY = Tiny(layers=4, hidden=16, dtype=torch.float32)
SETS = {"sums_m": {"attention": [1, 2], "mlp": [2]}, "tales_m": {"attention": [3], "mlp": [1, 2]}}


@pytest.fixture
def model(monkeypatch):
    model = tiny_model(TINY)
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(model, None))
    return model


@pytest.fixture
def files(tmp_path):
    (tmp_path / "sets.json").write_text(json.dumps(SETS))
    np.save(tmp_path / "anchors.npy", np.eye(16, dtype=np.float32)[:2])
    np.save(tmp_path / "labels.npy", np.array(["sums", "tales"]))
    return tmp_path


def imported(monkeypatch, files, *arguments):
    words = (files / "sets.json", "--model", "here", "--out", files / "out")
    return specframe(monkeypatch, "import-sets", *words, *arguments)


def test_one_entry_becomes_a_folder_that_drafts_with_it(monkeypatch, capsys, model, files):
    figures = files / "f.json"
    assert imported(monkeypatch, files, "--entry", "sums_m", "--json", figures) == 0
    strategy = strategy_from(str(files / "out"), Rig.of(model).shape)
    wanted = SkipSet.of(4, attention=[1, 2], mlp=[2])
    assert strategy.found.judged.skips == wanted
    assert "2 attention and 1 MLP sublayers skipped" in capsys.readouterr().out
    assert json.loads(figures.read_text())["sets"] == {"every domain": {"attention": 2, "mlp": 1}}
    prompt, plain = [5, 6, 7], SelfSpeculator(model)
    output = SelfSpeculator(model, files / "out").generate(prompt, max_new_tokens=12)
    assert output.stats.drafted > 0
    same = plain.generate(prompt, max_new_tokens=12)
    assert torch.equal(output.sequences, same.sequences)


def test_anchors_and_their_sets_become_a_knn_folder(monkeypatch, model, files):
    pair = ("--anchors", files / "anchors.npy", "--labels", files / "labels.npy")
    assert imported(monkeypatch, files, *pair) == 0
    sets = strategy_from(str(files / "out"), Rig.of(model).shape).skip_sets()
    assert {name: found.skips.mlp for name, found in sets.items()} == {
        "sums": (2,),
        "tales": (1, 2),
    }


def test_the_folder_is_refused_for_other_weights(monkeypatch, model, files):
    imported(monkeypatch, files, "--entry", "sums_m")
    other = Rig.of(tiny_model(Tiny(layers=4, hidden=16, dtype=torch.float32, seed=1)))
    with pytest.raises(CalibrationMismatch, match="parameters"):
        other.strategy(str(files / "out"))
    with pytest.raises(CalibrationMismatch, match="parameters"):
        SelfSpeculator(other.model, files / "out")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "holds several skip sets, and no entry was named. Name one of: sums_m, tales_m."),
        (("--entry", "poems"), "it has no 'poems'"),
        (("--anchors", "a.npy"), "go together"),
        (("--entry", "sums_m", "--anchors", "a.npy", "--labels", "l.npy"), "Leave out --entry"),
        (("--anchors", "missing.npy", "--labels", "l.npy"), "There is no file 'missing.npy'"),
    ],
)
def test_what_cannot_be_imported_is_refused(monkeypatch, capsys, model, files, arguments, reason):
    assert imported(monkeypatch, files, *arguments) == 2
    assert reason in capsys.readouterr().err
    assert not (files / "out" / "manifest.json").exists()


def test_anchors_of_another_width_are_refused(monkeypatch, capsys, model, files):
    np.save(files / "anchors.npy", np.ones((2, 8), dtype=np.float32))
    pair = ("--anchors", files / "anchors.npy", "--labels", files / "labels.npy")
    assert imported(monkeypatch, files, *pair) == 2
    assert "8 numbers each, and the model's hidden size is 16" in capsys.readouterr().err


def test_another_strategys_folder_is_not_replaced(monkeypatch, capsys, model, files):
    imported(monkeypatch, files, "--entry", "sums_m")
    pair = ("--anchors", files / "anchors.npy", "--labels", files / "labels.npy")
    assert imported(monkeypatch, files, *pair) == 2
    assert "holds something else" in capsys.readouterr().err


def test_the_authors_files_are_imported(monkeypatch, tmp_path):
    folder = REFERENCE / "published"
    if not folder.is_dir():
        pytest.skip(f"the published skip sets are not at {folder}")
    model = tiny_model(Tiny(layers=40, hidden=16, dtype=torch.float32))
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(model, None))
    import_sets(folder / "draft-verify_skip_layers.json", "here", tmp_path / "out", "llama-2-13b")
    strategy = strategy_from(str(tmp_path / "out"), Rig.of(model).shape)
    assert len(strategy.found.judged.skips.attention) == 24
