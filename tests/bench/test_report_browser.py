"""The report in a real headless Chromium, at the widths of a desktop and of a phone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.browser import Browser, browser
from doubles.expected_marks import expected_marks
from doubles.made_results import made_results

from specframe.bench.report import Comparison, write_page

COUNT = """Object.fromEntries([...document.querySelectorAll('figure')].map(figure =>
  [figure.dataset.figure, figure.querySelectorAll('[data-mark]').length]))"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PAPER = "getComputedStyle(document.body).backgroundColor"
# elements that are cut off on the right and not in a box that scrolls
CUT = """[...document.querySelectorAll('main *')].filter(element =>
  !element.closest('.scroll') && element.getBoundingClientRect().right > innerWidth + 1)
  .map(element => element.outerHTML.slice(0, 120))"""
DRAWN = """[...document.querySelectorAll('details')].forEach(fold => fold.open = true),
  [...document.querySelectorAll('[data-mark]')].filter(mark => {
    const box = mark.getBoundingClientRect(); return !(box.width > 0 && box.height > 0) }).length"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results() -> dict:
    return made_results(per_domain=2, repeats=1)


@pytest.fixture(scope="module")
def report(results, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_page(path, [Comparison(json.loads(json.dumps(results)))])
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_drawn_without_errors_and_fits(chromium, report, results, width, scheme):
    chromium.open(report, width, scheme)
    drawn = chromium.value(COUNT)
    assert {name: count for name, count in drawn.items() if count} == expected_marks(results)
    assert chromium.value(CUT) == []
    assert chromium.value(SIDEWAYS) <= 0
    assert chromium.value(DRAWN) == 0
    assert chromium.value("innerWidth") == width
    assert chromium.complaints == []
    assert set(chromium.requests) == {report.resolve().as_uri()}


def test_light_and_dark_differ(chromium, report):
    papers = []
    for scheme in ("light", "dark"):
        chromium.open(report, 390, scheme)
        papers.append(chromium.value(PAPER))
    assert papers[0] != papers[1]


def test_an_error_of_a_page_would_be_noticed(chromium, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text("<script>console.error('seen'); undefined.member</script>", encoding="utf-8")
    chromium.open(broken, 390)
    complaints, chromium.complaints = chromium.complaints, []
    assert len(complaints) == 2
