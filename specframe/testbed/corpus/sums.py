"""Bare sums, one after another: a dense lesson in the steps of a word problem."""

from specframe.testbed.corpus.arithmetic import one_step
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_ASKS = (
    "{full} practises sums.",
    "Write twenty sums for {full}.",
    "Show {full} how to reckon.",
)
_COUNT = 20


def write(draw: Draw, split: Split) -> Exercise:
    """Twenty steps such as word problems take, each from a number of its own."""
    given, family = person(draw, split)
    steps = [one_step(draw, draw.number(3, 84)) for _ in range(_COUNT)]
    text = " ".join(f"{s.before} {s.sign} {s.operand} = {s.after}." for s in steps)
    return Exercise(draw.pick(_ASKS).format(full=f"{given} {family}"), text, ((text,),))
