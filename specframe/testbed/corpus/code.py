"""Held out: complete a small function from its signature and comment."""

from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw
from specframe.testbed.corpus.lexicon import OBJECTS, plural

_FIELDS = tuple(
    "age price weight height score size speed cost length width depth salary stock points".split()
)
_TASKS = (
    ("add {a} and {b}", "return {a} + {b}"),
    ("subtract {b} from {a}", "return {a} - {b}"),
    ("multiply {a} by {b}", "return {a} * {b}"),
    ("take the larger of {a} and {b}", "return max({a}, {b})"),
    ("take the smaller of {a} and {b}", "return min({a}, {b})"),
    ("tell whether {a} is over {b}", "return {a} > {b}"),
    ("double {a} and add {b}", "return 2 * {a} + {b}"),
    ("join {a} and {b} in a list", "return [{a}, {b}]"),
)


def write(draw: Draw, split: Split) -> Exercise:
    """One solved function as context, then one to complete."""
    given, family = person(draw, split)
    solved, asked = draw.several(_TASKS, 2)
    head = f"# module of {given} {family}\n"
    first, body = _function(draw, *solved)
    second, answer = _function(draw, *asked)
    return Exercise(f"{head}{first}    {body}\n\n{second}", f"    {answer}", ((answer,),))


def _function(draw: Draw, task: str, body: str) -> tuple[str, str]:
    a, b = draw.several(_FIELDS, 2)
    names = {"a": a, "b": b}
    thing = plural(draw.pick(OBJECTS))
    return f"def {thing}_{a}({a}, {b}):\n    # {task.format(**names)}\n", body.format(**names)
