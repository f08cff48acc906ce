"""Ctrl-C in each phase of each long command: one line, and no partial files."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from doubles.command_line import specframe
from doubles.long_commands import CASES, COMMANDS, disturb, half_written, place

from specframe.commands.interrupts import ending_imports

SCRIPT = "import sys; from specframe.__main__ import main; sys.exit(main())"  # as pip writes it
FROM_NOTHING = ("pricing", "keeping prices")
# another command or phase takes the same path in less time
SLOW = {
    ("generate", "keeping prices"),
    ("profile", "writing"),
    ("bench", "calibrating"),
    ("bench", "asking"),
    ("bench", "writing"),
    ("testbed train", "exporting"),
    ("testbed train", "writing"),
}
MARKED = [pytest.param(*case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES]


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """Also if this process was started in the background of a shell."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def patch(priced, request, tmp_path):
    """In the folder of the commands; prices are stored, unless the phase is to measure them."""
    with place(tmp_path) as patch:
        if request.node.callspec.params["phase"] not in FROM_NOTHING:
            shutil.copytree(priced, tmp_path / "cache")
        yield patch


def interrupted(patch, name, phase):
    with pytest.MonkeyPatch.context() as disturbed:
        where = COMMANDS[name].phases[phase]
        disturb(disturbed, where, lambda: signal.raise_signal(signal.SIGINT))
        return specframe(patch, *COMMANDS[name].line)


@pytest.mark.parametrize(("name", "phase"), MARKED)
def test_an_interrupt_ends_with_one_line_and_leaves_nothing_half_written(
    name, phase, patch, capsys, tmp_path
):
    assert interrupted(patch, name, phase) == 130
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith("Interrupted.")
    assert printed.err.count("Interrupted") == 1
    assert "Traceback" not in printed.err + printed.out
    assert not half_written(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "phase"), CASES)
def test_an_interrupted_command_can_be_resumed_as_it_says(name, phase, patch, capsys, tmp_path):
    interrupted(patch, name, phase)
    command = COMMANDS[name]
    on = ("--resume", "run") if "--resume run" in capsys.readouterr().err else ()
    assert specframe(patch, *command.line, *on) == 0
    assert all((tmp_path / made).exists() for made in command.made)


@pytest.mark.parametrize(
    ("imported", "started"),
    [("typer", ("-c", SCRIPT)), ("torch", ("-m", "specframe"))],
    ids=["script, typer", "-m, torch"],
)
def test_an_interrupt_while_something_is_imported_ends_the_process_at_once(
    imported, started, tmp_path
):
    (tmp_path / f"{imported}.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nfinally:\n    print('on')\n"
    )
    places = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, *started, "generate", "select"],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_the_previous_signal_handler_is_restored():
    usual = signal.getsignal(signal.SIGINT)
    with ending_imports():
        assert signal.getsignal(signal.SIGINT) is not usual
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is usual
