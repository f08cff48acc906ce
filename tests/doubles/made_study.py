"""A study of nothing, to run the framework with; it counts how often it makes a row."""

from dataclasses import dataclass

from specframe.studies.framework.study import Bars, Findings, Lines, Study

made: list[str] = []


@dataclass(frozen=True)
class MadeSettings:
    model: str = "testbed"
    rows: int = 3
    breaks_at: int = 99


def run(settings, work):
    work.tell("making rows")
    values = []
    for number in range(settings.rows):
        if number == settings.breaks_at:
            raise KeyboardInterrupt
        row = work.row({"number": number}, lambda n=number: make(n))
        values.append(row["value"])
    return Findings({"total": sum(values)}, f"They come to {sum(values)}.")


def make(number):
    made.append(str(number))
    return {"value": 2.0 * number, "curve": [[0.1, 0.0], [10.0 * (number + 1), 1.0 * number]]}


QUICK = MadeSettings(rows=2)
STUDY = Study(
    "made",
    "Numbers",
    "What do numbers come to?",
    MadeSettings(),
    QUICK,
    run,
    Bars("value", ("number",)),
)
LINES = Lines("seconds", "value", ("number",), points="curve", steps=True, log_x=True)
