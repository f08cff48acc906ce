"""Files are written as a whole, with the usual mode, or refused."""

import os
from pathlib import Path

import pytest

from specframe.commands.results_file import write_figures
from specframe.errors import ArtefactError
from specframe.storage.user_cache import write_json, write_text


def test_a_written_file_has_the_mode_of_any_other(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    write_json(tmp_path / "new" / "a.json", {"b": 1})
    write_figures(tmp_path / "figures.json", {"b": 1})
    modes = {path.stat().st_mode for path in (tmp_path / "new" / "a.json", plain)}
    assert modes == {(tmp_path / "figures.json").stat().st_mode}


def test_a_file_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "no" / "a.txt", tmp_path / "taken"):
        with pytest.raises(ArtefactError, match="cannot be written"):
            write_text(path, "a")
        with pytest.raises(ArtefactError, match="cannot be written"):
            write_figures(path, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        write_json(tmp_path / "file" / "a.json", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_a_kill_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]
