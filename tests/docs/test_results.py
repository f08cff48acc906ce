"""Every figure that the page of studies prints comes from rows that are checked in."""

import json
import re
from dataclasses import fields
from pathlib import Path

import found
import pytest

from specframe.studies.framework.registry import find_study, study_names

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
FILES = sorted(found.RESULTS.glob("*.json"))
SECTION = re.compile(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"<!-- generated: found .*?<!-- end of found -->", re.DOTALL)
MEASURED = re.compile(r"\d[\d.,]*\s?(?:×|%|microseconds|s\b)|\d\.\d\d")


class Replay:
    """A study's work whose rows are known; a row that is not there cannot be made."""

    def __init__(self, rows):
        self._rows = rows

    def row(self, name, make):
        known = json.loads(json.dumps(name))
        (row,) = [row for row in self._rows if known.items() <= row.items()]
        return row


def settings_of(study, config):
    known = {field.name for field in fields(study.settings)}
    given = {key: value for key, value in config.items() if key in known}
    as_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return type(study.settings)(**as_tuples)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_answers_follow_from_the_rows_of_the_results_file(path):
    study = find_study(path.stem)
    for results in json.loads(path.read_text(encoding="utf-8")).values():
        settings = settings_of(study, results["config"])
        assert study.run(settings, Replay(results["rows"])).answer == results["answer"]


def test_every_study_has_results_on_both_models_and_a_conclusion():
    sections = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
    for name in study_names():
        assert f"<!-- generated: found {name} -->" in sections[name], name
        assert "**Conclusion.**" in sections[name], name
        results = json.loads((found.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        assert list(results) == list(found.MODELS), name


@pytest.mark.parametrize("name", study_names())
def test_no_figure_is_written_by_hand(name):
    sections = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
    prose = GENERATED.sub("", sections[name])
    strays = [text for line in prose.splitlines() for text in MEASURED.findall(line)]
    allowed = re.findall(r"`[^`]*`", prose)
    assert [text for text in strays if not any(text in one for one in allowed)] == []
