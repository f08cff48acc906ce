"""The page of studies has every study with its question."""

import re
from pathlib import Path

import pytest

from specframe.studies.framework.registry import find_study, study_names

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
SECTION = re.compile(r"^## ([a-z-]+)\n\n\*([^*]+)\*$", re.MULTILINE)
FOUND = SECTION.findall(PAGE.read_text("utf-8"))
QUESTIONS = {name: " ".join(text.split()) for name, text in FOUND}


def test_the_page_has_every_study():
    assert sorted(QUESTIONS) == study_names()


@pytest.mark.parametrize("name", study_names())
def test_the_page_has_the_question_of_each_study(name):
    assert QUESTIONS[name] == find_study(name).question
