"""Prompts of a data set, loaded with the `datasets` package."""

import sys
from types import SimpleNamespace

import pytest
from doubles.word_tokenizer import Words

from specframe.errors import InvalidRequest
from specframe.prompts.hub import HubPrompts
from specframe.prompts.source import prompts_from


class Rows(list):
    column_names = ("answer", "category", "question")


ROWS = Rows(
    [
        {"question": "a bb", "category": "x", "answer": "1"},
        {"question": "ccc", "category": "y", "answer": "2"},
    ]
)


@pytest.fixture
def requests(monkeypatch):
    """Calls of `load_dataset`, which knows one data set."""
    calls = []

    def load_dataset(name, config, split):
        calls.append((name, config, split))
        if name != "some/set":
            raise ConnectionError("no such host.")
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return calls


def test_rows_become_prompts_with_their_domains(requests):
    found = prompts_from("datasets:some/set+config=main+split=validation", Words())
    assert [(p.domain, p.tokens) for p in found] == [("x", (1, 2)), ("y", (3,))]
    assert requests == [("some/set", "main", "validation")]


def test_of_turns_the_first_is_used(requests, monkeypatch):
    monkeypatch.setattr(Rows, "column_names", ("turns", "category"))
    monkeypatch.setitem(ROWS[0], "turns", ["dd d", "more"])
    monkeypatch.setitem(ROWS[1], "turns", ["e"])
    assert [p.tokens for p in prompts_from("datasets:some/set", Words())] == [(2, 1), (1,)]


def test_a_column_can_be_named_and_must_exist(requests):
    found = prompts_from("datasets:some/set+column=answer", Words())
    assert [p.tokens for p in found] == [(1,), (1,)]
    with pytest.raises(InvalidRequest, match="one of: answer, category, question"):
        prompts_from("datasets:some/set+column=story", Words())


@pytest.mark.parametrize("source", ["datasets:", "datasets:some/set+revision=3"])
def test_a_name_without_a_data_set_is_refused(requests, source):
    with pytest.raises(InvalidRequest, match="are named datasets:ID"):
        HubPrompts.read(source)


def test_a_data_set_that_cannot_be_loaded_says_why(requests):
    with pytest.raises(InvalidRequest, match="cannot be loaded: no such host"):
        prompts_from("datasets:another/set", Words())


def test_without_the_package_the_remedy_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InvalidRequest, match="pip install datasets"):
        prompts_from("datasets:some/set", Words())
