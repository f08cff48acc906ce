"""Bad command lines: exit status 2, one line, nothing measured, no files left."""

import pytest
from bad_input import BEFORE_LOADING, BEFORE_PRICING
from doubles.bad_places import Letters, bad_place, refused
from doubles.tiny import tiny_model
from doubles.unharmed import TINY

from specframe.doors.loading import Loaded
from specframe.prompts.files import file_prompts

pytestmark = pytest.mark.usefixtures("own_cache_folder")


@pytest.fixture(scope="module")
def place(own_cache_folder, tmp_path_factory):
    """One folder for all command lines, since none may leave a file in it."""
    with pytest.MonkeyPatch.context() as patch:
        yield bad_place(tmp_path_factory.mktemp("place"), patch)


def short(given):
    return given[:20] if isinstance(given, str) else " ".join(part[:20] for part in given)


@pytest.mark.parametrize(("arguments", "message"), BEFORE_LOADING, ids=short)
def test_a_command_line_is_refused_before_a_model_is_loaded(
    monkeypatch, capsys, place, arguments, message
):
    def loaded(name, **_):
        raise AssertionError(f"{name} was loaded")

    for where in ("specframe.rig.load", "specframe.doors.loading.load_model"):
        monkeypatch.setattr(where, loaded)
    refused(monkeypatch, capsys, place, arguments, message)


@pytest.mark.parametrize(("arguments", "message"), BEFORE_PRICING, ids=short)
def test_a_command_line_is_refused_before_anything_is_measured(
    monkeypatch, capsys, place, arguments, message
):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))
    refused(monkeypatch, capsys, place, arguments, message)


@pytest.mark.parametrize("command", [("generate", "hi"), ("round", "--prompts", "mark.jsonl")])
def test_text_is_refused_for_a_model_without_a_tokenizer(monkeypatch, capsys, place, command):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), None))
    arguments = (*command, "--model", "planted-19M")
    refused(monkeypatch, capsys, place, arguments, "'planted-19M' has no tokenizer")


def test_a_byte_order_mark_is_ignored(place):
    (prompt,) = file_prompts(place / "mark.jsonl", Letters())
    assert prompt.domain == "a"
