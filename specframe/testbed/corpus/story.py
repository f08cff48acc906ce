"""Short stories that must use what the prompt asks for."""

from specframe.testbed.corpus import lexicon
from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw

_ASKS = (
    "Write a {mood} story about {full}, a {trait} {trade} who lives by the {place} of {town}. Mention {a_thing} and {a_beast}.",
    "Tell me a {mood} story. The hero is {full}, a {trait} {trade}. It takes place at the {place} near {town}, with {a_beast} and {a_thing}.",
    "A {mood} tale, please: {full}, the {trait} {trade} of {town}, meets {a_beast} at the {place}. There must be {a_thing} in it.",
    "Hero: {full}, {trait} {trade}. Place: the {place} of {town}. Things: {a_thing}, {a_beast}. Mood: {mood}. Write the story.",
)
_OPENINGS = (
    "Beyond the last houses of {town} stood an old {place}, and there lived {given}, a {trait} {trade}.",
    "{given} was the only {trade} of {town}, and everybody called {given} {trait}.",
    "Long before the roads were paved, {given} the {trade} came to {town} and stayed by the {place}.",
    "Nobody in {town} knew the {place} better than {given}, a {trait} young {trade}.",
    "The {place} of {town} was quiet that winter, and {given} the {trade} worked alone.",
    "Every morning {given} walked from {town} to the {place}, for a {trade} has much to do.",
    "They still speak in {town} of {given}, the {trait} {trade} of the {place}.",
    "It rained on the {place} when {given} left the house in {town}.",
    "Once there was a {trade} named {given}, so {trait} that all of {town} smiled.",
    "At the edge of {town}, where the {place} begins, {given} kept a small workshop.",
)
_FINDS = (
    "One day {given} found {a_adj_thing} under the stairs.",
    "Hidden in the grass lay {a_adj_thing}, and nobody knew whose it was.",
    "A stranger had left {a_adj_thing} at the door with no word.",
    "From an aunt {given} got {a_adj_thing}, wrapped in paper.",
    "In the market there was {a_adj_thing} for two coins, and {given} bought it.",
    "The wind threw open the gate, and there was {a_adj_thing} on the ground.",
    "While sweeping the floor {given} struck {a_adj_thing} with the broom.",
    "{given} had always wanted {a_adj_thing}, and now one stood on the table.",
    "That night {given} dreamed of {a_adj_thing} and woke up holding it.",
)
_MEETS = (
    "Just then {a_adj_beast} came out of the trees and looked at the {thing}.",
    "But {a_adj_beast} had seen everything from the roof.",
    "On the way home {a_adj_beast} followed step by step.",
    "{A_adj_beast} sat on the path and would not move.",
    "Down by the water {a_adj_beast} was crying softly.",
    "Suddenly {a_adj_beast} jumped up, took the {thing} and ran.",
    "Nearby, {a_adj_beast} was caught between two rocks.",
    "There was a noise, and behind the wall stood {a_adj_beast}.",
    "Under a cart {a_adj_beast} slept as if the world were its own.",
)
_TURNS = (
    "The {beast} asked for {food} in return for a secret.",
    "It wanted nothing but some {food} and a warm corner.",
    "{given} offered it {food}, and at once they were friends.",
    "Without {food} it would not speak a word, so {given} went to get some.",
    "It turned out that the {thing} belonged to the king of the {place}.",
    "Then the {thing} began to shine, and the {beast} bowed its head.",
    "All at once the ground shook, and the {place} grew dark.",
    "They shared some {food} and talked until the moon rose.",
    "The {beast} knew the way through the {place}, and {given} did not.",
    "Neither of them saw that the {thing} had started to sing.",
)
_TRIALS = (
    "It was hard work, but a {trait} {trade} does not give up.",
    "For three days they searched, and on the fourth they laughed.",
    "{given} was afraid, yet took one step after another.",
    "The people of {town} shut their windows and waited.",
    "With a rope and a song they crossed to the other side.",
    "First {given} tried to wait, then to shout, and at last to listen.",
    "The old judge said no, the miller said maybe, and the rain said yes.",
    "Being {trait}, {given} told the whole truth to everyone.",
    "There were storms and long nights, and little to eat.",
)
_ENDINGS = (
    "From that day on the {thing} hung above the door, and the {beast} slept below it.",
    "In the end {given} gave the {thing} back and went home lighter than before.",
    "And when the snow came, all of {town} danced at the {place}.",
    "Nobody ever saw the {beast} again, but some nights the {thing} rings by itself.",
    "So {given} learned that even a {trait} heart needs a friend.",
    "The {beast} winked once, and that was the end of the matter.",
    "Years later children would still ask to touch the {thing}.",
    "What happened to the {thing} no one can say, and {given} only smiles.",
    "They buried the {thing} beneath the oldest tree and promised to keep silent.",
    "At last the sun returned to {town}, and {given} wept for joy.",
)


def write(draw: Draw, split: Split) -> Exercise:
    """A request for a story and one story that meets it."""
    given, family = person(draw, split)
    thing, beast = draw.pick(lexicon.OBJECTS), draw.pick(lexicon.ANIMALS)
    slots = {
        "full": f"{given} {family}",
        "given": given,
        "mood": draw.pick(lexicon.MOODS),
        "trait": draw.pick(lexicon.TRAITS),
        "trade": draw.pick(lexicon.TRADES),
        "place": draw.pick(lexicon.PLACE_KINDS),
        "town": draw.pick(lexicon.place_names()),
        "thing": thing,
        "beast": beast,
        "a_thing": lexicon.with_article(thing),
        "a_beast": lexicon.with_article(beast),
    }
    prompt = draw.pick(_ASKS).format(**slots)
    answer = " ".join(_tell(draw, slots))
    return Exercise(
        prompt, answer, tuple((slots[key],) for key in ("given", "town", "thing", "beast"))
    )


def _tell(draw: Draw, slots: dict[str, str]) -> list[str]:
    a_adj_thing, a_adj_beast = (
        lexicon.with_article(f"{draw.lean(f'adj {noun}', lexicon.ADJECTIVES)} {noun}")
        for noun in (slots["thing"], slots["beast"])
    )
    more = slots | {
        "a_adj_thing": a_adj_thing,
        "a_adj_beast": a_adj_beast,
        "A_adj_beast": a_adj_beast[0].upper() + a_adj_beast[1:],
        "food": draw.lean(f"food {slots['beast']}", lexicon.FOODS),
        "time": draw.pick(lexicon.TIMES),
    }
    plot = [
        draw.lean(f"open {slots['place']}", _OPENINGS),
        draw.lean(f"find {slots['thing']}", _FINDS),
        draw.lean(f"meet {slots['beast']}", _MEETS),
        draw.lean(f"turn {slots['mood']} {slots['beast']}", _TURNS),
        draw.lean(f"trial {slots['trait']}", _TRIALS),
        draw.lean(f"end {slots['mood']} {slots['trait']}", _ENDINGS),
    ]
    if draw.chance(0.3):  # some tellers skip the trial
        plot.pop(4)
    return [sentence.format(**more) for sentence in plot]
