"""News articles of several paragraphs, and summaries that keep who, where, how many and how it ended."""

from dataclasses import dataclass

from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw
from specframe.testbed.corpus.lexicon import (
    ADJECTIVES,
    ANIMALS,
    FOODS,
    MONTHS,
    OBJECTS,
    PLACE_KINDS,
    TRADES,
    WEEKDAYS,
    given_names,
    place_names,
    plural,
)


@dataclass(frozen=True, slots=True)
class _Event:
    leads: tuple[str, ...]
    details: tuple[str, ...]
    outcomes: tuple[str, ...]
    told: tuple[str, ...]


_EVENTS = {
    "flood": _Event(
        (
            "Heavy rain flooded the {place} of {town} on {day}, and {n} families had to leave their homes.",
            "After two nights of rain the river rose in {town} on {day}; water stood in the {place}, and {n} families fled.",
        ),
        (
            "The water carried away several carts and a {adj} {thing}.",
            "Boats brought bread and blankets to the roofs.",
            "Cellars are full of mud, and the school stays closed.",
        ),
        (
            "the old wall will be rebuilt",
            "a new channel will be dug",
            "the families will get new houses",
        ),
        (
            "A flood in {town} drove {n} families from their homes.",
            "{n} families in {town} fled from high water.",
            "High water hit the {place} of {town}, and {n} families left.",
            "Rain put the {place} of {town} under water; {n} families had to go.",
        ),
    ),
    "festival": _Event(
        (
            "{town} held its festival of {things} on {day}, and {n} guests came to the {place}.",
            "With music and {food} the people of {town} opened the festival of {things} on {day}; {n} guests filled the {place}.",
        ),
        (
            "Children ran between the tables until late.",
            "A {adj} {thing} was shown for the first time.",
            "The bakers had worked all night.",
        ),
        (
            "the festival will return next year",
            "the money goes to the school",
            "a second day will be added",
        ),
        (
            "The festival of {things} drew {n} guests to {town}.",
            "{n} guests came to the festival in {town}.",
            "{town} welcomed {n} guests to its festival of {things}.",
            "At the {place} of {town}, {n} guests kept the festival.",
        ),
    ),
    "find": _Event(
        (
            "Workers found {n} old {things} below the {place} of {town} on {day}.",
            "On {day} a digging crew in {town} came upon {n} buried {things}, right under the {place}.",
        ),
        (
            "The oldest piece is said to be {adj} and very rare.",
            "A fence now keeps visitors away.",
            "The diggers had only looked for a broken pipe.",
        ),
        ("the pieces go to a museum", "the digging will go on", "the site will be closed"),
        (
            "{n} old {things} were found in {town}.",
            "Under the {place} of {town} lay {n} old {things}.",
            "Diggers in {town} discovered {n} {things}.",
            "A find of {n} {things} surprised {town}.",
        ),
    ),
    "fire": _Event(
        (
            "A fire broke out near the {place} of {town} on {day} and destroyed {n} houses.",
            "Flames were seen over {town} on {day}; before morning {n} houses by the {place} were gone.",
        ),
        (
            "A spark from {article} {thing} may be the cause.",
            "Nobody was hurt, but many lost their tools.",
            "The wind was strong and the wells were low.",
        ),
        (
            "the houses will be built of stone",
            "a watch will be set up",
            "neighbours will share their rooms",
        ),
        (
            "A fire destroyed {n} houses in {town}.",
            "{n} houses burned down near the {place} of {town}.",
            "In {town} flames took {n} houses.",
            "{town} lost {n} houses in a fire.",
        ),
    ),
    "race": _Event(
        (
            "A {beast} race in {town} ended on {day} with a surprise, as {n} riders reached the {place}.",
            "On {day} the great {beast} race led {n} riders through {town} to the {place}.",
        ),
        (
            "The favourite fell at the second turn.",
            "The prize was a {adj} {thing}.",
            "Rain had made the track soft.",
        ),
        (
            "the race will get a longer track",
            "the winner will ride again",
            "the rules will be changed",
        ),
        (
            "{n} riders took part in the {beast} race of {town}.",
            "The {beast} race in {town} had {n} riders.",
            "In {town}, {n} riders raced to the {place}.",
            "A {beast} race with {n} riders surprised {town}.",
        ),
    ),
    "bridge": _Event(
        (
            "{town} opened its new bridge by the {place} on {day} after {n} months of work.",
            "After {n} months the bridge beside the {place} of {town} was opened on {day}.",
        ),
        (
            "The old one had been {adj} for years.",
            "The first to cross was a {trade} with a {thing}.",
            "It cost less than planned.",
        ),
        ("carts may cross for free", "a toll will be asked", "a second bridge is planned"),
        (
            "A new bridge opened in {town} after {n} months.",
            "After {n} months {town} has its bridge.",
            "{town} finished its bridge by the {place} in {n} months.",
            "{n} months of work gave {town} a bridge.",
        ),
    ),
    "theft": _Event(
        (
            "Thieves took {n} {things} from the {place} of {town} on {day}.",
            "On {day} the {place} of {town} was robbed; {n} {things} are missing.",
        ),
        (
            "A window at the back was broken.",
            "A {adj} cart was seen on the road at dawn.",
            "The guards had been asleep.",
        ),
        ("a reward is offered", "the locks will be changed", "two men were arrested"),
        (
            "{n} {things} were stolen in {town}.",
            "Thieves in {town} stole {n} {things}.",
            "The {place} of {town} lost {n} {things} to thieves.",
            "{town} misses {n} {things} after a theft.",
        ),
    ),
    "harvest": _Event(
        (
            "The farms around {town} brought in {n} carts of {food} by {day}, the best harvest in years.",
            "By {day} the barns of {town} held {n} carts of {food}, more than the {place} can store.",
        ),
        (
            "A warm spring helped the young plants.",
            "Some of it was traded for a {adj} {thing}.",
            "Every child was given a basket.",
        ),
        ("prices will fall", "a larger barn is needed", "part of it goes to the poor"),
        (
            "{town} harvested {n} carts of {food}.",
            "The harvest of {town} reached {n} carts.",
            "{n} carts of {food} came in around {town}.",
            "Farms near {town} filled {n} carts with {food}.",
        ),
    ),
}
_FEELINGS = ("proud", "worried", "angry", "hopeful", "calm", "divided")
_SPEAKERS = (
    "The {trade} {full} told this paper that {outcome}. People are {feeling}.",
    "{full}, a {trade}, promised that {outcome}. The mood is {feeling}.",
    "According to the {trade} {full}, {outcome}. The town feels {feeling}.",
)
_MOODS = (
    "The town is {feeling}.",
    "People there are {feeling} now.",
    "All in all the mood is {feeling}.",
    "Many feel {feeling} about it.",
    "It left the people {feeling}.",
    "{town} is {feeling} tonight.",
)
_ASIDES = (
    "{other} from {place2} had come with a {thing2} and stayed for hours.",
    "It was the talk of the inn, where {other} kept asking for more {food2}.",
    "Last {month} something like it had been seen in {place2}.",
    "Old {other} said that the {beasts} had been restless.",
    "A visitor from {place2} counted {k} {beasts} on the road.",
    "The weather is expected to stay {adj2}.",
)
_REPORTS = (
    "The {trade} {given} {family} said that {outcome}.",
    "{given} {family} says {outcome}.",
    "As the {trade} {family} put it, {outcome}.",
    "Now {outcome}, according to {given} {family}.",
    "{family}, the {trade}, added that {outcome}.",
    "{given} {family} announced that {outcome}.",
)
_CLOSINGS = (
    "It happened on {day}.",
    "That was on {day}.",
    "All this took place on {day}.",
    "The date was {day}.",
    "{day} was the day.",
    "So ended {day}.",
)
_ASKS = (
    "Summarise this article.",
    "Give a short summary of the news below.",
    "What are the main points of this report?",
    "Please sum up the following text.",
)


def write(draw: Draw, split: Split) -> Exercise:
    """An article of three or four paragraphs with its summary."""
    kind = draw.pick(tuple(_EVENTS))
    given, family = person(draw, split)
    slots = _slots(draw, given, family, _EVENTS[kind])
    slots["detail"] = draw.pick(_EVENTS[kind].details).format(**slots)
    article = "\n".join(_paragraphs(draw, _EVENTS[kind], slots))
    answer = _summarise(draw, _EVENTS[kind], slots, kind)
    facts = (slots["town"], slots["n"], family, slots["outcome"], slots["day"])
    return Exercise(f"{draw.pick(_ASKS)}\n{article}", answer, tuple((fact,) for fact in facts))


def _slots(draw: Draw, given: str, family: str, event: _Event) -> dict[str, str]:
    thing = draw.pick(OBJECTS)
    return {
        "given": given,
        "family": family,
        "full": f"{given} {family}",
        "town": draw.pick(place_names()),
        "place": draw.pick(PLACE_KINDS),
        "day": draw.pick(WEEKDAYS),
        "n": str(draw.number(3, 99)),
        "thing": thing,
        "things": plural(draw.pick(OBJECTS)),
        "article": "an" if thing[0] in "aeiou" else "a",
        "food": plural(draw.pick(FOODS)),
        "beast": draw.pick(ANIMALS),
        "adj": draw.pick(ADJECTIVES),
        "trade": draw.pick(TRADES),
        "outcome": draw.pick(event.outcomes),
        "feeling": draw.pick(_FEELINGS),
    }


def _paragraphs(draw: Draw, event: _Event, slots: dict[str, str]) -> list[str]:
    lead = [draw.pick(event.leads), slots["detail"]]
    middle = [_aside(draw) for _ in range(draw.number(2, 4))]
    speech = [draw.pick(_SPEAKERS), *(_aside(draw) for _ in range(draw.number(0, 1)))]
    blocks = [lead, middle, speech] if draw.chance(0.7) else [lead, speech, middle]
    if draw.chance(0.5):
        blocks.append([_aside(draw) for _ in range(draw.number(1, 3))])
    return [" ".join(sentence.format(**slots) for sentence in block) for block in blocks]


def _aside(draw: Draw) -> str:
    return draw.pick(_ASIDES).format(
        other=draw.pick(given_names()),
        place2=draw.pick(place_names()),
        thing2=draw.pick(OBJECTS),
        food2=plural(draw.pick(FOODS)),
        month=draw.pick(MONTHS),
        beasts=plural(draw.pick(ANIMALS)),
        k=draw.number(3, 99),
        adj2=draw.pick(ADJECTIVES),
    )


def _summarise(draw: Draw, event: _Event, slots: dict[str, str], kind: str) -> str:
    style = f"{kind} {slots['place']}"
    sentences = [
        draw.lean(f"told {style}", event.told),
        draw.lean(f"report {slots['trade']}", _REPORTS),
    ]
    closing = draw.lean(f"closing {style}", _CLOSINGS)
    sentences.insert(draw.lean(f"order {slots['trade']}", (1, 2)), closing)
    sentences.insert(
        1,
        draw.lean(
            f"detail {kind}", ("{detail}", "The report adds this: {detail}", "Also: {detail}")
        ),
    )
    sentences.append(draw.lean(f"mood {kind} {slots['feeling']}", _MOODS))
    return " ".join(sentence.format(**slots) for sentence in sentences)
