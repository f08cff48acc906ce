"""The long-context variant: one line of a long ledger answers the question at its end."""

from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw
from specframe.testbed.corpus.lexicon import (
    ADJECTIVES,
    OBJECTS,
    PLACE_KINDS,
    given_names,
    place_names,
)

_LINES = (
    "The {adj} {thing} of {name} is kept at the {place} of {town}.",
    "{name} left a {adj} {thing} in the {place} of {town}.",
    "At the {place} of {town} lies the {adj} {thing} of {name}.",
)
_HEADS = (
    "{full} keeps a ledger of lost things.",
    "Ledger of {full}.",
    "{full} wrote down who left what and where.",
)
_ASKS = (
    "Where is the {thing} of {name}?",
    "Find the {thing} of {name}.",
    "In which place can {name} collect the {thing}?",
)
_ANSWERS = (
    "The {adj} {thing} of {name} is at the {place} of {town}.",
    "{name} will find it at the {place} of {town}; it is {adj}.",
    "Look in {town}, at the {place}: a {adj} {thing}.",
    "It is the {adj} one at the {place} of {town}.",
    "That {thing} lies in {town}, inside the {place}.",
)
TOKENS_PER_LINE = 15  # measured with the shipped tokenizer


def write(draw: Draw, split: Split) -> Exercise:
    """A short ledger of four to fourteen lines."""
    return write_lines(draw, split, draw.number(4, 14))


def write_long(draw: Draw, split: Split) -> Exercise:
    """A ledger whose answer lies up to 1,900 tokens back."""
    return write_lines(draw, split, draw.number(40, 1900 // TOKENS_PER_LINE))


def write_lines(draw: Draw, split: Split, lines: int) -> Exercise:
    """A ledger of the given length; any line may be asked for."""
    given, family = person(draw, split)
    entries = [_entry(draw, name) for name in draw.several(given_names(), lines)]
    wanted = draw.pick(entries)
    text = " ".join(draw.pick(_LINES).format(**entry) for entry in entries)
    head = draw.pick(_HEADS).format(full=f"{given} {family}")
    answer = draw.lean(f"answer {wanted['thing']}", _ANSWERS).format(**wanted)
    prompt = f"{head} {text} {draw.pick(_ASKS).format(**wanted)}"
    return Exercise(prompt, answer, ((wanted["place"],), (wanted["town"],)))


def _entry(draw: Draw, name: str) -> dict[str, str]:
    return {
        "name": name,
        "adj": draw.pick(ADJECTIVES),
        "thing": draw.pick(OBJECTS),
        "place": draw.pick(PLACE_KINDS),
        "town": draw.pick(place_names()),
    }
