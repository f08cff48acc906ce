"""Every block of the documents runs as it stands, and prints what stands under it."""

import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from specframe import load
from specframe.commands.cli import app
from specframe.contract.registry import strategy_names
from specframe.costs.measure import measured_profile
from specframe.executors.load import load_executor
from specframe.studies.framework.registry import study_names

ROOT = Path(__file__).parents[2]
SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *SITE]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARY, LONG = 'title="numbers vary"', 'title="takes minutes"'
INLINE = re.compile(r"`(specframe(?: [^`]*)?)`")
COMMANDS = ("specframe ", "make ", "torchrun ")
NEEDED = {"lm-eval.md": "lm_eval"}  # packages of extras, by page
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
    text, end = page.read_text(encoding="utf-8"), 0
    for fence in FENCE.finditer(text):
        language, info, code = fence.groups()
        if language == "text" and found and not text[end : fence.start()].strip():
            found.append(replace(found.pop(), expected=code, varies=VARY in info))
        else:
            found.append(Block(language, code, is_long=LONG in info))
        end = fence.end()
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
    if page.name in NEEDED:
        pytest.importorskip(NEEDED[page.name], reason="an extra that is not installed")
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
    if words[0] == "torchrun":
        launched = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
        return subprocess.run(launched, check=True, capture_output=True, text=True).stdout
    assert words[0] == "specframe", line
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    return done.stdout


def understood(line: str) -> str:
    """A command that takes minutes is parsed only."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = commands().get_command(commands().make_context("specframe", [name]), name)
    assert command is not None, line
    command.make_context(name, list(arguments))  # it takes from the list
    assert unknown_word(line) is None, line
    return ""


@cache
def commands():
    return get_command(app)


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
            for line in lines_of(block.code):
                assert line.startswith(COMMANDS), line
                if line.startswith("specframe "):
                    understood(line)


def mentioned(page: Path) -> list[str]:
    """Commands inside sentences and tables."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(code.split()) for code in INLINE.findall(prose)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_sentence_mentions_exists(page):
    assert [line for line in mentioned(page) if unknown_word(line)] == []


def unknown_word(line: str) -> str | None:
    """The first command, option, study or strategy of the line that there is not."""
    _, *words = shlex.split(line, comments=True)
    path, command = [], commands()
    while words and words[0] in getattr(command, "commands", {}):
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    if words and hasattr(command, "commands") and not words[0].startswith("-"):
        return words[0]
    if getattr(command, "context_settings", {}).get("ignore_unknown_options"):
        return None  # they are another program's
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    strange = [option for option in given if option not in known]
    if path == ["study"]:
        strange += [word for word in words[:1] if not stands_for(word, {"all", *study_names()})]
    if path == ["calibrate"]:
        strange += [word for word in words[:1] if not stands_for(word, set(strategy_names()))]
    for option, value in pairwise(words):
        if option == "--selectors":
            names = [re.split("[:+]", one)[0] for one in value.split(",")]
            strange += [name for name in names if not stands_for(name, {"all", *strategy_names()})]
    return next(iter(strange), None)


def stands_for(word: str, known: set[str]) -> bool:
    """Capitals stand for any name."""
    return word in known or word.isupper() or word.startswith("-")


def test_a_command_that_does_not_exist_is_noticed():
    assert unknown_word("specframe bench engine --json FILE") is None
    assert unknown_word("specframe benhc --json FILE") == "benhc"
    assert unknown_word("specframe testbed trian") == "trian"
    assert unknown_word("specframe bench --jsn FILE") == "--jsn"
    assert unknown_word("specframe study oracel") == "oracel"
    assert unknown_word("specframe calibrate static-bo --out FOLDER") is None
    assert unknown_word("specframe compare --selectors swift:faithful,swfit") == "swfit"
    with pytest.raises(Exception, match="jsn"):
        understood("specframe bench --jsn FILE")


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [p for p in SITE if f": {p.relative_to(ROOT / 'docs')}" not in navigation]
    assert missing == []


def test_numbers_vary_only_where_a_page_says_so():
    steady = Block("python", "", "took 3 s\n")
    varying = Block("python", "", "took 3 s\n", varies=True)
    assert agrees(steady, "took 3 s\n")
    assert not agrees(steady, "took 4 s\n")
    assert agrees(varying, "took 41.5 s\n")
    assert not agrees(varying, "lost 3 s\n")
    assert agrees(Block("python", "", "...|\n"), "a|b|\n")
