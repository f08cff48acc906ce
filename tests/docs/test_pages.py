"""Every block of the documents runs as it stands, and prints what stands under it."""

import doctest
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from specframe import load
from specframe.cli import app
from specframe.models.load import load_executor
from specframe.prices import measured_profile
from specframe.studies.registry import find_study

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARY, LONG = 'title="numbers vary"', 'title="takes minutes"'
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")
FRAME = re.compile(r"[─━═┏┓┗┛┡┩╇┳┴┬└┘┌┐├┤┼╂┃│]+")
BUDGET = 0.5  # seconds of repeats of the profile that the pages find


@dataclass(frozen=True, slots=True)
class Block:
    """A fence; `expected` is what the text block right after it says, None where there is none."""

    language: str
    code: str
    expected: str | None = None
    varies: bool = False
    is_long: bool = False


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    for language, info, code in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "text" and found and found[-1].language in ("python", "bash"):
            last = found.pop()
            found.append(replace(last, expected=code, varies=VARY in info))
            continue
        found.append(Block(language, code, is_long=LONG in info))
    return [block for block in found if block.language in ("python", "bash")]


RUN = {page: blocks(page) for page in PAGES if blocks(page)}


@pytest.fixture(scope="module", autouse=True)
def priced(tmp_path_factory) -> Iterator[None]:
    """The machine's prices, measured in a hurry: what is printed is compared by shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COLUMNS", "100")
        yield


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch, capsys):
    model = load("testbed").model
    measured_profile(model, load_executor(model), budget=BUDGET)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in RUN[page]:
        capsys.readouterr()
        if block.language == "python":
            exec(compile(block.code, str(page), "exec"), names)
            printed = capsys.readouterr().out
        else:
            do = understood if block.is_long else run
            printed = "".join(map(do, lines_of(block.code)))
        if block.expected is not None:
            assert agrees(block, printed), f"{block.code}\nprinted\n{printed}"


def lines_of(code: str) -> list[str]:
    joined = code.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def run(line: str) -> str:
    """What a command prints.

    Those of make are left to the continuous integration's own script.
    """
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert f"make {words[1]}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        return ""
    assert words[0] == "specframe", line
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    return done.stdout


def understood(line: str) -> str:
    """A command that takes minutes is parsed only."""
    _, name, *arguments = shlex.split(line, comments=True)
    group = get_command(app)
    command = group.get_command(group.make_context("specframe", [name]), name)
    assert command is not None, line
    command.make_context(name, list(arguments))  # it takes from the list
    if name == "study" and not {"--list", "all"} & set(arguments):
        find_study(arguments[0])
    return ""


def agrees(block: Block, printed: str) -> bool:
    assert block.expected is not None
    wanted = block.expected
    if block.varies:
        wanted, printed = (NUMBER.sub("0", FRAME.sub("|", text)) for text in (wanted, printed))
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(wanted, printed, options)


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_can_be_read(page):
    for block in RUN[page]:
        if block.language == "python":
            compile(block.code, str(page), "exec")
        else:
            assert all(shlex.split(line, comments=True) for line in lines_of(block.code))


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [p for p in PAGES[1:] if f": {p.relative_to(ROOT / 'docs')}" not in navigation]
    assert missing == []


def test_numbers_vary_only_where_a_page_says_so():
    steady = Block("python", "", "took 3 s\n")
    varying = Block("python", "", "took 3 s\n", varies=True)
    assert agrees(steady, "took 3 s\n")
    assert not agrees(steady, "took 4 s\n")
    assert agrees(varying, "took 41.5 s\n")
    assert not agrees(varying, "lost 3 s\n")
    assert agrees(Block("python", "", "...|\n"), "a|b|\n")
