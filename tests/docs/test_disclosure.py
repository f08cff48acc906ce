"""Every page that shows figures of the testbed says how it was trained, in the same sentence."""

from html import unescape
from pathlib import Path

import pytest

from specframe.bench.report import Comparison, page
from specframe.testbed.disclosure import DISCLOSURE, exit_mark
from specframe.testbed.model.shipped import WEIGHTS

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "start.md",
    ROOT / "docs" / "benchmarks.md",
    ROOT / "docs" / "studies.md",
    WEIGHTS / "README.md",
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_says_how_the_testbed_was_trained(path):
    assert DISCLOSURE in " ".join(path.read_text(encoding="utf-8").split())


def test_the_report_of_the_testbed_says_so_too():
    results = {"run": "r", "config": {"model": "testbed"}, "rows": [], "summary": []}
    assert DISCLOSURE in unescape(page([Comparison(results)]))


def test_only_what_exits_early_is_marked_and_only_on_the_testbed():
    names = ("layerskip", "kangaroo", "specbound", "del:faithful", "knn-ssd")
    assert [exit_mark("testbed", name) for name in names] == [" †", " †", " †", " †", ""]
    assert exit_mark("smollm2", "layerskip") == ""


@pytest.mark.parametrize("name", ["layerskip", "kangaroo", "del", "specbound"])
def test_the_pages_of_those_strategies_say_that_the_training_helps(name):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{name}` |")]
    assert "testbed's training helps it" in row
    method = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
    assert "early-exit loss, which helps this strategy" in " ".join(method.split())
