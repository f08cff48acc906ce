"""Bare sums, one after another: a dense lesson in the steps of a word problem."""

from specframe.testbed.corpus.arithmetic import MOST, one_step
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_ASKS = (
    "Work out for {full}: {sums}.",
    "{full} asks for {sums}.",
    "What are {sums}? Tell {full}.",
)


def write(draw: Draw, split: Split) -> Exercise:
    """Eight to sixteen steps such as word problems take, each from a number of its own."""
    given, family = person(draw, split)
    steps = [one_step(draw, draw.number(1, MOST)) for _ in range(draw.number(8, 16))]
    sums = [f"{step.before} {step.sign} {step.operand}" for step in steps]
    prompt = draw.pick(_ASKS).format(full=f"{given} {family}", sums=", ".join(sums))
    text = " ".join(f"{sum} = {step.after}." for sum, step in zip(sums, steps, strict=True))
    return Exercise(prompt, text, ((text,),))
