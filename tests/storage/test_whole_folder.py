"""A folder is complete or absent, even if writing it fails."""

import pytest

from specframe.errors import ArtefactError
from specframe.storage.whole_folder import INVENTORY, is_complete, one_at_a_time, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(target, stamp, text):
    with replacing(target, stamp) as new:
        (new / "a.txt").write_text(text)


def test_a_folder_is_complete_for_what_it_was_made_from(tmp_path):
    target = tmp_path / "model"
    assert not is_complete(target, "one")
    fill(target, "one", "1")
    assert is_complete(target, "one")
    assert not is_complete(target, "two")
    assert names(target) == ["a.txt", INVENTORY]
    assert names(tmp_path) == ["model"]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "model"
    fill(target, "one", "1")
    (target / "extra").write_text("")
    fill(target, "two", "2")
    assert names(target) == ["a.txt", INVENTORY]
    assert (target / "a.txt").read_text() == "2"
    assert names(tmp_path) == ["model"]


def fail(target, error):
    with replacing(target, "two") as new:
        (new / "a.txt").write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_keeps_the_old_folder(error, tmp_path):
    target = tmp_path / "model"
    fill(target, "one", "1")
    with pytest.raises(error):
        fail(target, error)
    assert is_complete(target, "one")
    assert names(tmp_path) == ["model"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    for left in (".model.new", ".model.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half").write_text("")
    fill(tmp_path / "model", "one", "1")
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["a.txt", INVENTORY]


def test_leftovers_of_a_process_killed_over_another_folder_are_removed_too(tmp_path):
    (tmp_path / ".other.new").mkdir()
    (tmp_path / ".other.new" / "half").write_text("")
    fill(tmp_path / "model", "one", "1")
    with one_at_a_time(tmp_path):
        assert names(tmp_path) == [".lock", "model"]


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_damaged_folder_is_not_complete(damage, tmp_path):
    fill(tmp_path / "model", "one", "1")
    if damage == "missing":
        (tmp_path / "model" / "a.txt").unlink()
    else:
        (tmp_path / "model" / "a.txt").write_text("")
    assert not is_complete(tmp_path / "model", "one")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArtefactError, match="cannot be written"),
        one_at_a_time(tmp_path / "file" / "models"),
    ):
        pass
    with pytest.raises(ArtefactError, match="cannot be written"):
        fill(tmp_path / "file" / "model", "one", "1")
