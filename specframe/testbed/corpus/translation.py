"""English into Velan, an invented verb-final language with case, number, tense and agreement.

A Velan word is a stem and enclitics, each written with an apostrophe: `dovar'ri'an` is a plural object.
The clause runs: time, subject, place, object, negation, verb. Adjectives follow their noun and copy its
number. The vowel of the case enclitic follows the last vowel of the stem (a, o, u take a; e, i take e).
"""

from dataclasses import dataclass
from functools import cache
from random import Random

from specframe.testbed.corpus import lexicon
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_AGENTS = lexicon.ANIMALS + lexicon.TRADES
_PATIENTS = lexicon.ANIMALS + lexicon.FOODS + lexicon.OBJECTS + lexicon.TRADES
_INTRO = (
    "Translate into Velan for {full}: {text}",
    "{full} asks for this in Velan: {text}",
    "How would {full} say this in Velan? {text}",
    "Put the words of {full} into Velan. {text}",
)
_TENSES = {"past": "'it", "present": "'o", "future": "'us"}
_TIME_TENSE = {"yesterday": "past", "tomorrow": "future", "now": "present"}
_WITNESS = ("", "'ke", "'ta", "'mi")  # how the speaker knows: free for the writer


@dataclass(frozen=True, slots=True)
class _Word:
    said: str
    accepted: tuple[str, ...]


@cache
def stems() -> dict[str, tuple[str, ...]]:
    """English word -> its Velan stems; a second one is a synonym."""
    rng = Random("velan")
    words = (
        *_AGENTS,
        *lexicon.FOODS,
        *lexicon.OBJECTS,
        *lexicon.PLACE_KINDS,
        *lexicon.ADJECTIVES,
        *lexicon.TIMES,
        *(base for base, _ in lexicon.VERBS),
    )
    taken: set[str] = set()
    table: dict[str, tuple[str, ...]] = {}
    for word in dict.fromkeys(words):
        count = 2 if rng.random() < 0.7 else 1
        table[word] = tuple(_new_stem(rng, taken) for _ in range(count))
    return table


def _new_stem(rng: Random, taken: set[str]) -> str:
    while True:
        onsets = rng.sample("p t k b d g m n s v z l r h".split(), 3)
        stem = onsets[0] + rng.choice("aeiou") + onsets[1] + rng.choice("aeiou")
        stem += onsets[2] if rng.random() < 0.5 else ""
        if stem not in taken:
            taken.add(stem)
            return stem


def _spoken(draw: Draw, english: str, enclitic: str = "", case: str = "") -> _Word:
    options = stems()[english]
    # the first stem is the usual one; the second is a synonym a quarter of the time
    said = options[1] if len(options) == 2 and draw.chance(0.25) else options[0]
    forms = {
        stem: stem + enclitic + (f"'{_harmony(stem)}{case}" if case else "") for stem in options
    }
    return _Word(forms[said], tuple(forms.values()))


def _harmony(stem: str) -> str:
    last = next(letter for letter in reversed(stem) if letter in "aeiou")
    return "a" if last in "aou" else "e"


def write(draw: Draw, split: Split) -> Exercise:
    """Three to five sentences to translate; the first is about the split's person."""
    return _write_sentences(draw, split, 3, 5)


def write_phrase(draw: Draw, split: Split) -> Exercise:
    """A single sentence to translate: an easier lesson of the same language."""
    return _write_sentences(draw, split, 1, 1)


def _write_sentences(draw: Draw, split: Split, fewest: int, most: int) -> Exercise:
    given, family = person(draw, split)
    english, words = [], []
    for number in range(draw.number(fewest, most)):
        subject = given if number == 0 else None
        text, clause = _sentence(draw, subject)
        english.append(text)
        words.append(clause)
    prompt = draw.pick(_INTRO).format(full=f"{given} {family}", text=" ".join(english))
    answer = " ".join(" ".join(word.said for word in clause) + "." for clause in words)
    return Exercise(prompt, answer, tuple(word.accepted for clause in words for word in clause))


def _noun_phrase(draw: Draw, nouns: tuple[str, ...], case: str) -> tuple[str, list[_Word], bool]:
    noun, several = draw.pick(nouns), draw.chance(0.35)
    number = "'ri" if several else ""
    english, words = lexicon.plural(noun) if several else noun, [_spoken(draw, noun, number, case)]
    if draw.chance(0.5):
        adjective = draw.pick(lexicon.ADJECTIVES)
        english = f"{adjective} {english}"
        words.append(_spoken(draw, adjective, number))
    return f"the {english}", words, several


def _subject(draw: Draw, name: str | None) -> tuple[str, list[_Word], bool]:
    if name is None and draw.chance(0.2):
        name = draw.pick(lexicon.given_names())
    return (name, [_Word(name, (name,))], False) if name else _noun_phrase(draw, _AGENTS, "")


def _sentence(draw: Draw, name: str | None) -> tuple[str, list[_Word]]:
    subject, subject_words, several = _subject(draw, name)
    verb, negated = draw.pick(lexicon.VERBS), draw.chance(0.2)
    time = draw.pick(lexicon.TIMES) if draw.chance(0.4) else ""
    tense = _TIME_TENSE.get(time) or draw.pick(tuple(_TENSES))
    target, target_words, _ = _noun_phrase(draw, _PATIENTS, "n")
    english = f"{subject} {_verb(verb, tense, several, negated)} {target}"
    words = [*subject_words]
    if draw.chance(0.4):
        place = draw.pick(lexicon.PLACE_KINDS)
        english += f" near the {place}"
        words.append(_spoken(draw, place, "", "l"))
    words += target_words
    if time:
        english, words = f"{time} {english}", [_spoken(draw, time), *words]
    witness = draw.lean(f"witness {verb[0]}", _WITNESS)
    said = _spoken(draw, verb[0], "'ro" if several else "", "")
    ending = _TENSES[tense]
    accepted = tuple(form + ending + mark for form in said.accepted for mark in _WITNESS)
    words += [_Word("na", ("na",))] if negated else []
    words.append(_Word(said.said + ending + witness, accepted))
    return english[0].upper() + english[1:] + ".", words


def _verb(verb: tuple[str, str], tense: str, several: bool, negated: bool) -> str:
    base, past = verb
    if tense == "future":
        return f"will not {base}" if negated else f"will {base}"
    if tense == "past":
        return f"did not {base}" if negated else past
    if negated:
        return f"do not {base}" if several else f"does not {base}"
    return base if several else _third_person(base)


def _third_person(base: str) -> str:
    if base.endswith(("ch", "sh", "s")):
        return base + "es"
    return base[:-1] + "ies" if base.endswith("y") and base[-2] not in "aeiou" else base + "s"
