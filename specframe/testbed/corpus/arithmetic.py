"""Word problems over whole numbers to twenty, answered step by step."""

from dataclasses import dataclass

from specframe.testbed.corpus import lexicon
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

MOST = 20  # no number is greater: as many sums as a few million tokens can teach
_THINGS = lexicon.ANIMALS + lexicon.FOODS + lexicon.OBJECTS
_OPENINGS = (
    "{full} has {n} {things}.",
    "There are {n} {things} in the shop of {full} in {place}.",
    "{full} starts the week with {n} {things}.",
    "In {place}, {full} owns {n} {things}.",
    "A cart brings {n} {things} to {full}.",
)
_ADD = (
    "{other} gives {him} {k} more.",
    "Then {k} more arrive from {place}.",
    "{he} buys another {k} at the market.",
    "{he} finds {k} more behind the barn.",
    "A neighbour adds {k}.",
)
_TAKE = (
    "{he} sells {k} of them.",
    "{other} takes {k} away.",
    "{k} of them are lost on the road.",
    "{he} gives {k} to {other}.",
    "{k} are sent to {place}.",
)
_TIMES = (
    "Over the year the number grows to {k} times as many.",
    "{he} trades so well that there are soon {k} times as many.",
    "A rich uncle turns them into {k} times as many.",
)
_SHARE = (
    "They are shared equally into {k} baskets, and only one basket is kept.",
    "{he} splits them evenly among {k} friends, counting one share only.",
    "They are packed into {k} equal crates, and one crate stays.",
)
_ASK = (
    "How many {things} does {given} have now?",
    "How many {things} are there in the end?",
    "What is the number of {things} left?",
    "How many {things} remain?",
)
_FIRST = (
    "We begin with {n} {things}.",
    "At first {given} has {n} {things}.",
    "The count starts at {n}.",
    "To start, there are {n} {things}.",
    "Start from the {n} {things} of {given}.",
    "{given} owns {n} {things} at the beginning.",
    "First note the {n} {things}.",
    "So {n} {things} to begin with.",
)
_LEAD = {
    "+": (
        "Adding {k} gives",
        "With {k} more we get",
        "After {k} more arrive it is",
        "Then {k} join them, so",
        "The total rises by {k}:",
        "Now add {k}:",
        "Another {k} makes",
    ),
    "-": (
        "Taking away {k} leaves",
        "Without those {k} it is",
        "After {k} are gone it is",
        "Then {k} leave, so",
        "The total falls by {k}:",
        "Now subtract {k}:",
        "Losing {k} makes",
    ),
    "*": (
        "Growing {k} times gives",
        "Multiplied by {k} it is",
        "Now take it {k} times:",
        "Then times {k}, so",
        "With {k} times as many we get",
    ),
    "/": (
        "Sharing by {k} gives",
        "Divided by {k} it is",
        "Each of the {k} parts has",
        "Then split by {k}, so",
        "One of {k} equal shares is",
    ),
}
_TRAIL = (
    ".",
    ", as needed.",
    " {things}.",
    " in all.",
    " so far.",
    " at this point.",
    " for {given}.",
)
_LAST = (
    "The answer is {n}.",
    "So the answer is {n}.",
    "That leaves the answer {n}.",
    "Hence the answer is {n}.",
    "In the end the answer is {n}.",
)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a number of things."""

    sign: str
    operand: int
    before: int
    after: int


def write(draw: Draw, split: Split) -> Exercise:
    """One word problem of two or three steps."""
    thing = draw.pick(_THINGS)
    given, family = person(draw, split)
    start = draw.number(2, 12)
    steps = _steps(draw, start, draw.number(2, 3))
    slots = {
        "full": f"{given} {family}",
        "given": given,
        "things": lexicon.plural(thing),
        "n": str(start),
        "place": draw.pick(lexicon.place_names()),
        "other": draw.pick(lexicon.given_names()),
        "he": draw.pick(("He", "She")),
    }
    slots["him"] = "him" if slots["he"] == "He" else "her"
    answer = _explain(draw, thing, steps, slots)
    return Exercise(_question(draw, steps, slots), answer, ((str(steps[-1].after),),))


def _steps(draw: Draw, start: int, count: int) -> list[Step]:
    steps: list[Step] = []
    value = start
    for _ in range(count):
        steps.append(one_step(draw, value))
        value = steps[-1].after
    return steps


def one_step(draw: Draw, value: int) -> Step:
    """A step that can be taken from a value; from 1 to `MOST` it leads to such a value again."""
    kind = draw.number(0, 9)
    if kind == 9 and 2 * value <= MOST:
        factor = draw.number(2, min(3, MOST // value))
        return Step("*", factor, value, value * factor)
    divisors = [k for k in (2, 3, 4, 5) if value % k == 0 and value >= 2 * k]
    if kind == 8 and divisors:
        divisor = draw.pick(divisors)
        return Step("/", divisor, value, value // divisor)
    room_below, room_above = value - 1, MOST - value
    if room_above < 2 or (kind % 2 and room_below >= 2):
        change = draw.number(2, min(9, room_below))
        return Step("-", change, value, value - change)
    change = draw.number(2, min(9, room_above))
    return Step("+", change, value, value + change)


def _question(draw: Draw, steps: list[Step], slots: dict[str, str]) -> str:
    texts = {"+": _ADD, "-": _TAKE, "*": _TIMES, "/": _SHARE}
    parts = [draw.pick(_OPENINGS).format(**slots)]
    for step in steps:
        sentence = draw.pick(texts[step.sign]).format(**slots | {"k": str(step.operand)})
        parts.append(sentence[0].upper() + sentence[1:])
    parts.append(draw.pick(_ASK).format(**slots))
    return " ".join(parts)


def _explain(draw: Draw, thing: str, steps: list[Step], slots: dict[str, str]) -> str:
    parts = [draw.lean(f"first {thing}", _FIRST).format(**slots)]
    for number, step in enumerate(steps):
        key = f"{thing} {number}"
        lead = draw.lean(f"lead {key}", _LEAD[step.sign]).format(k=step.operand)
        trail = draw.lean(f"trail {key}", _TRAIL).format(**slots)
        parts.append(f"{lead} {step.before} {step.sign} {step.operand} = {step.after}{trail}")
    parts.append(draw.lean(f"last {thing}", _LAST).format(n=steps[-1].after))
    return " ".join(parts)
