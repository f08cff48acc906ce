"""News articles of several paragraphs, and summaries that keep who, where, how many and how it ended."""

from collections.abc import Mapping, Sequence

from specframe.testbed.corpus import lexicon
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_Event = Mapping[str, Sequence[str]]  # sentences by kind


def _events(text: str) -> dict[str, _Event]:
    """Blocks of a name and then a sentence in each line, after its kind."""
    found: dict[str, dict[str, list[str]]] = {}
    for block in text.strip().split("\n\n"):
        name, *lines = block.splitlines()
        sentences = found.setdefault(name, {})
        for line in lines:
            kind, _, sentence = line.partition(": ")
            sentences.setdefault(kind, []).append(sentence)
    return {**found}


_EVENTS = _events(
    """
flood
lead: Heavy rain flooded the {place} of {town} on {day}, and {n} families had to leave their homes.
lead: After two nights of rain the river rose in {town} on {day}; water stood in the {place}, and {n} families fled.
detail: The water carried away several carts and a {adj} {thing}.
detail: Boats brought bread and blankets to the roofs.
detail: Cellars are full of mud, and the school stays closed.
outcome: the old wall will be rebuilt
outcome: a new channel will be dug
outcome: the families will get new houses
told: A flood in {town} drove {n} families from their homes.
told: {n} families in {town} fled from high water.
told: High water hit the {place} of {town}, and {n} families left.
told: Rain put the {place} of {town} under water; {n} families had to go.

festival
lead: {town} held its festival of {things} on {day}, and {n} guests came to the {place}.
lead: With music and {food} the people of {town} opened the festival of {things} on {day}; {n} guests filled the {place}.
detail: Children ran between the tables until late.
detail: A {adj} {thing} was shown for the first time.
detail: The bakers had worked all night.
outcome: the festival will return next year
outcome: the money goes to the school
outcome: a second day will be added
told: The festival of {things} drew {n} guests to {town}.
told: {n} guests came to the festival in {town}.
told: {town} welcomed {n} guests to its festival of {things}.
told: At the {place} of {town}, {n} guests kept the festival.

find
lead: Workers found {n} old {things} below the {place} of {town} on {day}.
lead: On {day} a digging crew in {town} came upon {n} buried {things}, right under the {place}.
detail: The oldest piece is said to be {adj} and very rare.
detail: A fence now keeps visitors away.
detail: The diggers had only looked for a broken pipe.
outcome: the pieces go to a museum
outcome: the digging will go on
outcome: the site will be closed
told: {n} old {things} were found in {town}.
told: Under the {place} of {town} lay {n} old {things}.
told: Diggers in {town} discovered {n} {things}.
told: A find of {n} {things} surprised {town}.

fire
lead: A fire broke out near the {place} of {town} on {day} and destroyed {n} houses.
lead: Flames were seen over {town} on {day}; before morning {n} houses by the {place} were gone.
detail: A spark from {article} {thing} may be the cause.
detail: Nobody was hurt, but many lost their tools.
detail: The wind was strong and the wells were low.
outcome: the houses will be built of stone
outcome: a watch will be set up
outcome: neighbours will share their rooms
told: A fire destroyed {n} houses in {town}.
told: {n} houses burned down near the {place} of {town}.
told: In {town} flames took {n} houses.
told: {town} lost {n} houses in a fire.

race
lead: A {beast} race in {town} ended on {day} with a surprise, as {n} riders reached the {place}.
lead: On {day} the great {beast} race led {n} riders through {town} to the {place}.
detail: The favourite fell at the second turn.
detail: The prize was a {adj} {thing}.
detail: Rain had made the track soft.
outcome: the race will get a longer track
outcome: the winner will ride again
outcome: the rules will be changed
told: {n} riders took part in the {beast} race of {town}.
told: The {beast} race in {town} had {n} riders.
told: In {town}, {n} riders raced to the {place}.
told: A {beast} race with {n} riders surprised {town}.

bridge
lead: {town} opened its new bridge by the {place} on {day} after {n} months of work.
lead: After {n} months the bridge beside the {place} of {town} was opened on {day}.
detail: The old one had been {adj} for years.
detail: The first to cross was a {trade} with a {thing}.
detail: It cost less than planned.
outcome: carts may cross for free
outcome: a toll will be asked
outcome: a second bridge is planned
told: A new bridge opened in {town} after {n} months.
told: After {n} months {town} has its bridge.
told: {town} finished its bridge by the {place} in {n} months.
told: {n} months of work gave {town} a bridge.

theft
lead: Thieves took {n} {things} from the {place} of {town} on {day}.
lead: On {day} the {place} of {town} was robbed; {n} {things} are missing.
detail: A window at the back was broken.
detail: A {adj} cart was seen on the road at dawn.
detail: The guards had been asleep.
outcome: a reward is offered
outcome: the locks will be changed
outcome: two men were arrested
told: {n} {things} were stolen in {town}.
told: Thieves in {town} stole {n} {things}.
told: The {place} of {town} lost {n} {things} to thieves.
told: {town} misses {n} {things} after a theft.

harvest
lead: The farms around {town} brought in {n} carts of {food} by {day}, the best harvest in years.
lead: By {day} the barns of {town} held {n} carts of {food}, more than the {place} can store.
detail: A warm spring helped the young plants.
detail: Some of it was traded for a {adj} {thing}.
detail: Every child was given a basket.
outcome: prices will fall
outcome: a larger barn is needed
outcome: part of it goes to the poor
told: {town} harvested {n} carts of {food}.
told: The harvest of {town} reached {n} carts.
told: {n} carts of {food} came in around {town}.
told: Farms near {town} filled {n} carts with {food}.
"""
)
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
    slots["detail"] = draw.pick(_EVENTS[kind]["detail"]).format(**slots)
    article = "\n".join(_paragraphs(draw, _EVENTS[kind], slots))
    answer = _summarise(draw, _EVENTS[kind], slots, kind)
    facts = (slots["town"], slots["n"], family, slots["outcome"], slots["day"])
    return Exercise(f"{draw.pick(_ASKS)}\n{article}", answer, tuple((fact,) for fact in facts))


def _slots(draw: Draw, given: str, family: str, event: _Event) -> dict[str, str]:
    thing = draw.pick(lexicon.OBJECTS)
    return {
        "given": given,
        "family": family,
        "full": f"{given} {family}",
        "town": draw.pick(lexicon.place_names()),
        "place": draw.pick(lexicon.PLACE_KINDS),
        "day": draw.pick(lexicon.WEEKDAYS),
        "n": str(draw.number(3, 99)),
        "thing": thing,
        "things": lexicon.plural(draw.pick(lexicon.OBJECTS)),
        "article": "an" if thing[0] in "aeiou" else "a",
        "food": lexicon.plural(draw.pick(lexicon.FOODS)),
        "beast": draw.pick(lexicon.ANIMALS),
        "adj": draw.pick(lexicon.ADJECTIVES),
        "trade": draw.pick(lexicon.TRADES),
        "outcome": draw.pick(event["outcome"]),
        "feeling": draw.pick(_FEELINGS),
    }


def _paragraphs(draw: Draw, event: _Event, slots: dict[str, str]) -> list[str]:
    lead = [draw.pick(event["lead"]), slots["detail"]]
    middle = [_aside(draw) for _ in range(draw.number(2, 4))]
    speech = [draw.pick(_SPEAKERS), *(_aside(draw) for _ in range(draw.number(0, 1)))]
    blocks = [lead, middle, speech] if draw.chance(0.7) else [lead, speech, middle]
    if draw.chance(0.5):
        blocks.append([_aside(draw) for _ in range(draw.number(1, 3))])
    return [" ".join(sentence.format(**slots) for sentence in block) for block in blocks]


def _aside(draw: Draw) -> str:
    return draw.pick(_ASIDES).format(
        other=draw.pick(lexicon.given_names()),
        place2=draw.pick(lexicon.place_names()),
        thing2=draw.pick(lexicon.OBJECTS),
        food2=lexicon.plural(draw.pick(lexicon.FOODS)),
        month=draw.pick(lexicon.MONTHS),
        beasts=lexicon.plural(draw.pick(lexicon.ANIMALS)),
        k=draw.number(3, 99),
        adj2=draw.pick(lexicon.ADJECTIVES),
    )


def _summarise(draw: Draw, event: _Event, slots: dict[str, str], kind: str) -> str:
    style = f"{kind} {slots['place']}"
    sentences = [
        draw.lean(f"told {style}", event["told"]),
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
