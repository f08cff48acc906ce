"""The built site: no link is dead, and its pages are looked at in a real browser."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from urllib.parse import unquote, urlsplit

import pytest
from doubles.browser import Browser, browser

ROOT = Path(__file__).parents[2]
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PAPER = "getComputedStyle(document.body).backgroundColor"
# what is cut off at the right without a container of its own to scroll in
CUT = """[...document.querySelectorAll('.md-content *')].filter(element => {
  const edge = document.documentElement.clientWidth + 1
  if (element.getBoundingClientRect().right <= edge) return false;
  for (let around = element.parentElement; around; around = around.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(around).overflowX)) return false;
  return element.getBoundingClientRect().width > 1 })
  .map(element => element.outerHTML.slice(0, 120))"""
EQUATIONS = """[...document.querySelectorAll('math')].map(equation =>
  [equation.getAttribute('display') === 'block', equation.getBoundingClientRect().height])"""
WRITTEN = """(page => {
  page.querySelectorAll('code, pre').forEach(code => code.remove()); return page.textContent
})(document.querySelector('article').cloneNode(true))"""
BROKEN = "[...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)"
LOOKED_AT = (
    "index.html",
    "start/index.html",
    "tutorials/choose-a-strategy/index.html",
    "concepts/architecture/index.html",
    "methods/knapspec/index.html",
    "benchmarks/index.html",
    "reference/api/index.html",
    "reference/cli/index.html",
    "reference/config/index.html",
)
FOUND = "[...document.querySelectorAll('.md-search-result__item h1')].map(e => e.innerText)"
FENCE = re.compile(r"^```.*?^```$|`[^`]*`", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^ *\$\$\n", re.MULTILINE)
RAW = re.compile(r"\$\$|\$[^\s$][^$]*\$|\\[()\[\]]|\\[a-z]+\{")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
ADDRESS = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")
PATIENCE = 30  # seconds that a search may take to start
SCHEMES = ("http", "https", "mailto")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built as `make check` builds it."""
    built = tmp_path_factory.mktemp("site") / "built"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", built]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=quiet)
    return built


class Links(HTMLParser):
    """What a page points to, and what can be pointed at in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.targets += [value for name in ("href", "src") if (value := found.get(name))]
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}


def dead_links(site: Path) -> list[str]:
    pages = {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    return [
        f"{page.relative_to(site)}: {target}"
        for page, links in pages.items()
        for target in links.targets
        if not alive(page, target, pages)
    ]


def alive(page: Path, target: str, pages: dict[Path, Links]) -> bool:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return parts.scheme in SCHEMES and bool(parts.netloc or parts.path)
    there = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if there.is_dir():
        there /= "index.html"
    if not there.is_file():
        return False
    return (
        not parts.fragment or there not in pages or unquote(parts.fragment) in pages[there].anchors
    )


def test_no_link_is_dead(site):
    assert dead_links(site) == []


def test_a_dead_link_is_noticed(tmp_path):
    (tmp_path / "picture.svg").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><a href="#top"></a><a href="#bottom"></a><a href="other/"></a>'
        '<img src="picture.svg"><img src="gone.svg"><a href="https://example.org/"></a>'
        '<a href="htp:/typing"></a>',
        encoding="utf-8",
    )
    dead = [line.split(": ", 1)[1] for line in dead_links(tmp_path)]
    assert dead == ["#bottom", "other/", "gone.svg", "htp:/typing"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("page", LOOKED_AT)
def test_a_page_fits_and_does_not_complain(chromium, site, page):
    papers = set()
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            chromium.open(site / page, width, scheme)
            assert chromium.value(SIDEWAYS) <= 0, (width, scheme)
            assert chromium.value(BROKEN) == []
            papers.add(chromium.value(PAPER))
    assert len(papers) == 2, "light and dark look alike"
    assert chromium.complaints == []
    assert all(request.startswith(("file:", "data:")) for request in chromium.requests)


def test_a_phone_shows_every_page_without_scrolling_it_sideways(chromium, site):
    told = {}
    for page in sorted(site.rglob("index.html")):
        chromium.open(page, 390)
        told[str(page.relative_to(site))] = chromium.value(SIDEWAYS), chromium.value(CUT)
    assert {page: found for page, found in told.items() if found != (0, [])} == {}
    assert all(request.startswith(("file:", "data:")) for request in chromium.requests)


def test_what_is_cut_off_is_noticed(chromium, site):
    chromium.open(site / "index.html", 390)
    assert chromium.value(CUT) == []
    for style in ("width: 900px", "overflow: hidden"):
        chromium.value(f"document.querySelector('article').style = '{style}', 0")
        wide = "'<p id=wide style=\"width: 900px\"></p>'"
        chromium.value(f"document.querySelector('article').innerHTML = {wide}, 0")
        assert any('id="wide"' in cut for cut in chromium.value(CUT)), style


def test_a_table_that_is_too_wide_scrolls(chromium, site):
    chromium.open(site / "benchmarks" / "index.html", 390)
    wide = "[...document.querySelectorAll('.md-typeset__scrollwrap')]"
    assert chromium.value(f"{wide}.some(around => around.scrollWidth > around.clientWidth)")
    assert chromium.value(f"{wide}.every(around => around.getBoundingClientRect().right <= 391)")


def test_every_equation_is_typeset(chromium, site):
    blocks = 0
    for source in sorted((ROOT / "docs").rglob("*.md")):
        text = FENCE.sub("", source.read_text(encoding="utf-8"))
        if "$" not in text:
            continue
        page = source.relative_to(ROOT / "docs").with_suffix("")
        folder = page.parent if page.name == "index" else page
        chromium.open(site / folder / "index.html", 1280)
        shown = chromium.value(EQUATIONS)
        assert shown, page
        assert all(height > 0 for _, height in shown), page
        assert sum(block for block, _ in shown) == len(BLOCK.findall(text)) / 2, page
        assert RAW.findall(chromium.value(WRITTEN)) == [], page
        blocks += sum(block for block, _ in shown)
    assert blocks


class Loads(HTMLParser):
    """What a page asks the browser to load; `link` also names pages, which are not loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = ADDRESS.findall(text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        value = dict(attrs).get(LOADED.get(tag, ""))
        if value is not None and (urlsplit(value).scheme in ("http", "https") or value[:2] == "//"):
            self.found.append(value)


def test_nothing_is_loaded_from_elsewhere(site):
    found = {
        path.relative_to(site): loads
        for path in site.rglob("*")
        if path.suffix in (".html", ".css", ".svg")
        if (loads := Loads(path.read_text(encoding="utf-8")).found)
    }
    assert found == {}


def test_what_would_be_loaded_from_elsewhere_is_noticed():
    page = (
        '<script src="https://a.example/x.js"></script><img src="//b.example/y.png">'
        '<a href="https://c.example/"></a><style>p { background: url(http://d.example/z) }</style>'
    )
    found = ["http://d.example/z", "https://a.example/x.js", "//b.example/y.png"]
    assert Loads(page).found == found


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are no news."""


@pytest.fixture
def served(site) -> Iterator[str]:
    """The site's address: a page from the disk may not load the index of the search."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_search_finds_pages(chromium, served):
    chromium.open(f"{served}?q=knapsack", 1280)
    end = monotonic() + PATIENCE
    while not (found := chromium.value(FOUND)) and monotonic() < end:
        sleep(0.2)
    assert "knapspec" in [title.lower() for title in found]
