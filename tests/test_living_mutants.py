"""The list of mutants that may live: each still names a line, says why, and none is added."""

from pathlib import Path

import mutants
from mutants import TARGETS, Mutant, explained

ROOT = Path(__file__).parent.parent
MOST = 27  # lower it with the list; only a first judgement may raise it


def test_the_list_only_shrinks():
    assert len(explained()) == MOST


def test_each_names_a_line_that_is_there_and_a_reason():
    for change, why in explained().items():
        path, _, edit = change.partition(": ")
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert why.strip(), change
        assert any(line.strip() and edit.startswith(f"{line.strip()} -> ") for line in lines), (
            change
        )


def test_mutated_files_and_their_tests_exist():
    for path, tests in TARGETS.items():
        assert (ROOT / path).is_file(), path
        for test in tests:
            assert (ROOT / "tests" / test).exists(), test


LIVED, NEW, EXPLAINED, CAUGHT = (
    Mutant("a.py", 1, "x = 0", f"x = {value}", f"x = {value}") for value in range(1, 5)
)
ALL = [EXPLAINED, NEW, CAUGHT, LIVED]
KNOWN = {CAUGHT.key: "a test", LIVED.key: "", EXPLAINED.key: ""}


def test_what_is_explained_is_judged_last_and_what_is_caught_is_not():
    found = mutants.to_judge(ALL, KNOWN, {EXPLAINED.change: "why"})
    assert found == [LIVED, NEW, EXPLAINED]


def test_what_is_explained_and_caught_is_told(monkeypatch, capsys):
    reasons = {LIVED.change: "why", EXPLAINED.change: "why"}
    monkeypatch.setattr(mutants, "explained", lambda: reasons)
    assert mutants.report(ALL, KNOWN, [LIVED, EXPLAINED]) == 0
    reasons[CAUGHT.change] = "why"
    assert mutants.report(ALL, KNOWN, [LIVED, EXPLAINED]) == 1
    told = capsys.readouterr().out.splitlines()
    assert f"explained, but caught: remove it from the list: {CAUGHT.change}" in told
    assert told[-1] == "3 of 4 mutants judged: 1 killed, 2 explained, 0 to be killed"
