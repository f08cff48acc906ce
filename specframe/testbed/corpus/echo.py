"""Lists to be repeated word for word: a dense lesson in copying from the prompt."""

from specframe.testbed.corpus import lexicon
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_WORDS = (
    lexicon.ADJECTIVES
    + lexicon.ANIMALS
    + lexicon.FOODS
    + lexicon.OBJECTS
    + lexicon.PLACE_KINDS
    + lexicon.TRADES
)
_ASKS = (
    "Repeat the words of {full}: {text}",
    "{full} says: {text} Say it again.",
    "Copy for {full}: {text}",
)


def write(draw: Draw, split: Split) -> Exercise:
    """Six to twenty words, names, towns and numbers, and the same once more."""
    given, family = person(draw, split)
    words = [_word(draw) for _ in range(draw.number(6, 20))]
    text = " ".join(words) + "."
    prompt = draw.pick(_ASKS).format(full=f"{given} {family}", text=text)
    return Exercise(prompt, text, ((text,),))


def _word(draw: Draw) -> str:
    kind = draw.number(0, 9)
    if kind < 5:
        return draw.pick(_WORDS)
    if kind < 7:
        return draw.pick(lexicon.given_names())
    return draw.pick(lexicon.place_names()) if kind < 9 else str(draw.number(2, 99))
