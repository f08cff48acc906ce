"""Held out: a dialogue that must be grounded in retrieved notes."""

from specframe.testbed.corpus import lexicon
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_NOTES = (
    ("{name} is a {trade} in {town}.", "What does {name} do?", "{trade}"),
    ("{name} opens on {day} only.", "When does {name} open?", "{day}"),
    ("{name} pays {n} coins for {food}.", "How much does {name} pay?", "{n}"),
    ("{name} moved to {town} in {month}.", "Where did {name} move?", "{town}"),
    ("The shop of {name} sells {food}.", "What does the shop of {name} sell?", "{food}"),
)


def write(draw: Draw, split: Split) -> Exercise:
    """Four notes, one answered turn and one open turn."""
    given, family = person(draw, split)
    names = draw.several(lexicon.given_names(), 4)
    notes = [(draw.pick(_NOTES), _slots(draw, name)) for name in names]
    text = "\n".join(
        f"[{number}] {note[0].format(**slots)}" for number, (note, slots) in enumerate(notes, 1)
    )
    earlier, wanted = draw.several(notes, 2)
    turn = (
        f"Guest: {earlier[0][1].format(**earlier[1])}\nHost: {earlier[0][0].format(**earlier[1])}"
    )
    prompt = f"Notes of {given} {family}:\n{text}\n{turn}\nGuest: {wanted[0][1].format(**wanted[1])}\nHost:"
    answer = wanted[0][0].format(**wanted[1])
    return Exercise(prompt, answer, ((wanted[0][2].format(**wanted[1]),),))


def _slots(draw: Draw, name: str) -> dict[str, str]:
    return {
        "name": name,
        "trade": draw.pick(lexicon.TRADES),
        "town": draw.pick(lexicon.place_names()),
        "day": draw.pick(lexicon.WEEKDAYS),
        "month": draw.pick(lexicon.MONTHS),
        "n": str(draw.number(2, 99)),
        "food": lexicon.plural(draw.pick(lexicon.FOODS)),
    }
