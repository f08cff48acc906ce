"""The page of studies asks the questions that the studies ask."""

import re
from pathlib import Path

import pytest

from specframe.studies.framework.registry import find_study, study_names

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
SECTION = re.compile(r"^## ([a-z-]+)\n\n\*([^*]+)\*$", re.MULTILINE)
ASKED = {name: " ".join(text.split()) for name, text in SECTION.findall(PAGE.read_text("utf-8"))}


def test_the_page_has_every_study():
    assert sorted(ASKED) == study_names()


@pytest.mark.parametrize("name", study_names())
def test_the_page_asks_the_study_s_question(name):
    assert ASKED[name] == find_study(name).question
