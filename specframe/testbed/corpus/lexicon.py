"""Words the corpus is made of: hand-picked English, generated names and places."""

from functools import cache

ANIMALS = tuple(
    "horse goat cow hen duck goose dog cat fox wolf bear hare owl crow hawk swan otter badger deer sheep "
    "pig mule donkey rabbit mouse frog heron eagle beaver turtle squirrel pony".split()
)
OBJECTS = tuple(
    "lamp rope box key map book coat boat bell drum flute kite ladder mirror knife basket bucket blanket "
    "letter ring coin crown stone hammer wheel cart clock candle bottle pot cup plate chair table door "
    "window chest sword shield net oar flag needle scarf hat glove boot saddle jar lantern compass "
    "violin painting statue telescope".split()
)
FOODS = tuple(
    "apple pear plum melon onion carrot potato turnip cake pie loaf egg cheese berry nut bean pumpkin "
    "cherry lemon peach biscuit pancake sausage fig".split()
)
TRADES = tuple(
    "baker farmer sailor teacher doctor miller weaver smith hunter fisher potter singer painter judge guard "
    "clerk porter mason tailor carpenter shepherd gardener merchant scholar captain cook nurse pilot "
    "builder dancer".split()
)
PLACE_KINDS = tuple(
    "village harbour forest valley market castle bridge river island mill temple tower garden cave hill "
    "meadow library school inn lake desert orchard".split()
)
ADJECTIVES = tuple(
    "old young red blue green black white golden silver small large tall short heavy light bright dark "
    "quiet loud clever brave gentle proud lazy hungry thirsty tired happy sad angry strange broken clean "
    "dirty cold warm soft hard sharp round narrow wide deep rich poor wild tame rare famous ancient "
    "curious honest lucky patient careful busy".split()
)
TRAITS = tuple(
    "brave curious patient clever gentle stubborn careful cheerful lonely proud honest restless shy "
    "generous lazy bold".split()
)
MOODS = tuple("joyful sad funny mysterious peaceful frightening hopeful surprising".split())
_VERBS = (
    "see/saw find/found lose/lost carry/carried sell/sold buy/bought hide/hid paint/painted clean/cleaned "
    "break/broke repair/repaired bring/brought follow/followed watch/watched love/loved fear/feared "
    "catch/caught lift/lifted guard/guarded steal/stole touch/touched draw/drew count/counted wash/washed "
    "leave/left choose/chose remember/remembered forget/forgot praise/praised visit/visited need/needed "
    "want/wanted hear/heard hold/held drop/dropped push/pushed pull/pulled help/helped send/sent "
    "keep/kept feed/fed greet/greeted"
).split()
VERBS = tuple(  # (base, past): transitive, so that every one takes any object
    (base, past) for base, past in (verb.split("/") for verb in _VERBS)
)
TIMES = tuple("today yesterday tomorrow soon often always now later again sometimes".split())
MONTHS = tuple("January March April May June July August September October November".split())
WEEKDAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())

_GIVEN_HEADS = (
    "Al Bar Bel Cal Dar Del Dor El Fal Fen Gal Gar Hal Hel Il Jar Jor Kal Kel Lar Lin Lor Mar Mel Mir Nal "
    "Nor Ol Or Pal Per Ral Rin Ros Sal Sel Tal Tar Tor Ul Val Ver Wil Yor Zan Zel"
).split()
_GIVEN_TAILS = (
    "a an ara as e ek el en era eth ia ian ie il in ina is ix o ol on ona or os u us yn ana eb im"
).split()
_FAMILY_HEADS = (
    "Ash Black Brook Cross Fair Glen Gold Green Grey Hart Hawk Hazel Holm Iron Lake Long Marsh Moor North "
    "Oak Raven Red Rock Rush Salt Sand Shep Silver Snow South Stark Stone Storm Summer Swan Thorn Under "
    "Water West White Wild Winter Wolf Wood York"
).split()
_FAMILY_TAILS = (
    "berg by croft dale den field ford gate ham hurst ing land ley lock man mere more ridge shaw son stead "
    "ston ter ton vale ward water well wick worth"
).split()
_PLACE_HEADS = (
    "Aber Bex Cran Dun Ells Fros Grim Hol Inver Kin Lang Mil Nether Over Pen Quin Rams Skel Tren Up Wex "
    "Yel Zar Bram Col Dray Eng Farn"
).split()
_PLACE_TAILS = (
    "bourne bury combe cliff den fell haven holt hythe ley mouth over port stow thorpe toft wold by "
    "minster burn"
).split()


@cache
def given_names() -> tuple[str, ...]:
    """Every first name: a head and a tail, so two or three tokens each."""
    return tuple(head + tail for head in _GIVEN_HEADS for tail in _GIVEN_TAILS)


@cache
def family_names() -> tuple[str, ...]:
    """Every family name."""
    return tuple(head + tail for head in _FAMILY_HEADS for tail in _FAMILY_TAILS)


@cache
def place_names() -> tuple[str, ...]:
    """Every town."""
    return tuple(head + tail for head in _PLACE_HEADS for tail in _PLACE_TAILS)


def plural(noun: str) -> str:
    """English plural of a noun of this lexicon."""
    irregular = {
        "goose": "geese",
        "wolf": "wolves",
        "sheep": "sheep",
        "mouse": "mice",
        "deer": "deer",
        "knife": "knives",
        "loaf": "loaves",
    }
    if noun in irregular:
        return irregular[noun]
    if noun.endswith(("s", "x", "ch", "sh")) or noun in ("potato",):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def with_article(phrase: str) -> str:
    """The phrase with 'a' or 'an'."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase
