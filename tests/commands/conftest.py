"""The folder with faulty files that command lines are given in."""

import pytest
from doubles.bad_places import bad_place


@pytest.fixture(scope="module")
def own_cache_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def place(own_cache_folder, tmp_path, monkeypatch):
    return bad_place(tmp_path, monkeypatch)
