"""Every figure that the page of studies prints comes from rows that are checked in."""

import json
import re
from pathlib import Path

import found
import pytest

from specframe.studies.framework.registry import study_names

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
FILES = sorted(found.RESULTS.glob("*.json"))
SECTION = re.compile(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"<!-- generated: found .*?<!-- end of found -->", re.DOTALL)
MEASURED = re.compile(r"\d[\d.,]*\s?(?:×|%|microseconds|s\b)|\d\.\d\d")


def each(path):
    """Fitting all pairs of sets takes a second."""
    slow = path.stem == "tpt-correlation"
    return pytest.param(path, id=path.stem, marks=pytest.mark.slow if slow else [])


@pytest.mark.parametrize("path", [each(path) for path in FILES])
def test_answers_follow_from_the_rows_of_the_results_file(path):
    for results in json.loads(path.read_text(encoding="utf-8")).values():
        assert found.answer(path.stem, results) == results["answer"]


def test_every_study_shows_its_results_and_a_conclusion():
    sections = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
    for name in study_names():
        assert f"<!-- generated: found {name} -->" in sections[name], name
        assert "**Conclusion.**" in sections[name], name


@pytest.mark.parametrize("name", study_names())
def test_no_figure_is_written_by_hand(name):
    sections = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
    prose = GENERATED.sub("", sections[name])
    strays = [text for line in prose.splitlines() for text in MEASURED.findall(line)]
    allowed = re.findall(r"`[^`]*`", prose)
    assert [text for text in strays if not any(text in one for one in allowed)] == []
