"""The command line: quick help, one-line errors, exit statuses."""

import subprocess
import sys
from importlib.metadata import version
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from doubles.command_line import specframe

from specframe.commands import cli
from specframe.errors import UnknownStrategy

RUN = "import sys; from specframe.commands.cli import main; sys.argv[0] = 'specframe'; main()"
HELP_SECONDS = 0.5


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def raise_from_app(monkeypatch, error: BaseException) -> None:
    def app() -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)


def test_help_is_quick_and_names_every_command():
    seconds = []
    for _ in range(3):  # processor time, since a machine may be shared
        before = getrusage(RUSAGE_CHILDREN)
        done = in_a_process("--help")
        after = getrusage(RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if seconds[-1] < HELP_SECONDS:
            break
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in ("ls", "bench"))
    assert min(seconds) < HELP_SECONDS


def test_help_does_not_import_what_only_commands_need():
    heavy = {"torch", "transformers", "numpy", "rich"}
    code = f"import sys, specframe.commands.cli; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert specframe(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"specframe {version('specframe')}\n"


def test_an_error_of_specframe_is_one_line_and_status_two(monkeypatch, capsys):
    raise_from_app(monkeypatch, UnknownStrategy("no strategy named 'x'.\n  Known: fixed."))
    assert specframe(monkeypatch) == 2
    assert capsys.readouterr().err == "UnknownStrategy: no strategy named 'x'. Known: fixed.\n"


def test_an_internal_error_keeps_its_traceback(monkeypatch):
    raise_from_app(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_an_interrupt_ends_with_status_130(monkeypatch):
    raise_from_app(monkeypatch, KeyboardInterrupt())
    assert specframe(monkeypatch) == 130


def test_an_unknown_command_has_status_two_and_no_traceback(monkeypatch, capsys):
    assert specframe(monkeypatch, "frobnicate") == 2
    printed = capsys.readouterr().err
    assert "frobnicate" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("command", ["bench", "calibrate", "compare", "predict"])
def test_everyday_prompts_are_the_default_and_printed_first(command, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    rest = ["static-bo", "--out", "here"] if command == "calibrate" else []
    assert specframe(monkeypatch, command, *rest, "--model", "empty") == cli.USAGE
    printed = capsys.readouterr()
    assert printed.out.startswith("Prompts: everyday")
    assert "No model 'empty'" in printed.err
    assert specframe(monkeypatch, command, *rest, "--model", "empty", "--prompts", "f") == cli.USAGE
    assert "Prompts:" not in capsys.readouterr().out
