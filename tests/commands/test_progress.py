"""How far a command is, and no time left before one is known."""

from doubles.ticking import TickingClock

from specframe.bench.harness import Progress
from specframe.commands import comparing
from specframe.commands.progress import Progress as OneLine


def test_a_comparison_shows_no_time_before_a_generation_is_timed(monkeypatch, capsys):
    clock = TickingClock(monkeypatch, ("specframe.commands.comparing",))
    progress = comparing._Progress()
    clock.now = 60.0  # of calibration
    progress(Progress(3, 13, "fixed", "sql/0"))
    assert capsys.readouterr().err == ""
    clock.now = 80.0
    progress(Progress(5, 13, "fixed", "sql/1"))
    assert capsys.readouterr().err == "5 of 13 generations, 80 s left\n"


def test_a_calibration_shows_the_time_left_once_something_is_done(monkeypatch, capsys):
    clock = TickingClock(monkeypatch, ("specframe.commands.progress",))
    progress = OneLine()
    clock.now = 6.0
    progress("answering prompts", 1, 4)
    clock.now = 12.0
    progress("answering prompts", 2, 4)
    assert capsys.readouterr().err.splitlines() == [
        "answering prompts: 1 of 4",
        "answering prompts: 2 of 4, 12 s left",
    ]
