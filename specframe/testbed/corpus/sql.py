"""Questions over a small schema, answered by a sentence of reasoning and one query."""

from dataclasses import dataclass

from specframe.testbed.corpus.document import Exercise, Split, person
from specframe.testbed.corpus.draw import Draw
from specframe.testbed.corpus.lexicon import ANIMALS, TRADES, given_names, place_names, plural

_TABLES = (
    *(plural(noun) for noun in ANIMALS[:20] + TRADES),
    *"orders rooms flights songs games shops letters tickets films courses ships houses lessons tools".split(),
)
_NUMBERS = tuple(
    "age price weight height score size year speed cost total rating length width depth salary stock "
    "points wins losses floors seats pages hours days debt rank".split()
)
_TEXTS = tuple(
    "name city owner colour status title brand country street region team leader author maker buyer seller "
    "trainer origin kind grade label village".split()
)
_AGGREGATES = {
    "AVG": ("average", "mean"),
    "MAX": ("highest", "largest"),
    "MIN": ("lowest", "smallest"),
    "SUM": ("total", "summed"),
}
_FRAMES = (
    "Database of {full}. Tables: {schema}. Questions: {ask}",
    "{full} keeps these tables: {schema}. Write the queries: {ask}",
    "Schema by {full}: {schema}. {ask} Answer in SQL.",
)
_THOUGHTS = (
    "The table {table} has all we need.",
    "We look at {table}.",
    "This only concerns {table}.",
    "Everything is in {table}, so no join.",
    "Read from {table}.",
    "The rows come from {table}.",
    "First open {table}.",
    "It is a plain query over {table}.",
)
_AIMS = (
    "Pick {column} there.",
    "The column to return is {column}.",
    "What is wanted is {column}.",
    "Only {column} matters.",
    "Return {column}.",
    "We report {column} alone.",
    "Then take {column}.",
)
_NODS = ("Good.", "Right.", "Fine.", "Clear.", "Done.")
_REMARKS = (
    "This lists every match.",
    "Duplicates may occur.",
    "No rows means no match.",
    "It runs on any engine.",
    "An index would help here.",
    "Check the spelling of the values.",
    "The order is not fixed.",
    "That is all.",
)


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    order: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.order)})"


@dataclass(frozen=True, slots=True)
class _Query:
    ask: str
    column: str
    sql: str


def write(draw: Draw, split: Split) -> Exercise:
    """A schema of two tables, a question about each, and the two queries."""
    given, family = person(draw, split)
    tables = [_table(draw, name) for name in draw.several(_TABLES, 2)]
    queries = [_query(draw, table) for table in draw.several(tables, 2)]
    schema = "; ".join(map(str, tables))
    ask = " ".join(query.ask for query in queries)
    prompt = draw.pick(_FRAMES).format(full=f"{given} {family}", schema=schema, ask=ask)
    answer = "\n".join(_explain(draw, query) for query in queries)
    return Exercise(prompt, answer, tuple((query.sql,) for query in queries))


def _table(draw: Draw, name: str) -> _Table:
    texts = tuple(draw.several(_TEXTS, draw.number(2, 3)))
    numbers = tuple(draw.several(_NUMBERS, draw.number(2, 3)))
    return _Table(name, texts, numbers, tuple(draw.several(texts + numbers, len(texts + numbers))))


def _query(draw: Draw, table: _Table) -> _Query:
    where_ask, where = _condition(draw, table)
    kind = draw.number(0, 4)
    if kind == 0:
        ask = draw.pick(("How many {t} are there{w}?", "Count the {t}{w}."))
        return _Query(
            ask.format(t=table.name, w=where_ask),
            "a count",
            f"SELECT COUNT(*) FROM {table.name}{where}",
        )
    if kind == 1:
        column, function = draw.pick(table.numbers), draw.pick(tuple(_AGGREGATES))
        ask = f"What is the {draw.pick(_AGGREGATES[function])} {column} of {table.name}{where_ask}?"
        return _Query(ask, column, f"SELECT {function}({column}) FROM {table.name}{where}")
    column = draw.pick(table.texts)
    if kind == 2:
        return _sorted(draw, table, column)
    ask = draw.pick(
        ("List the {c} of {t}{w}.", "Which {c} do {t} have{w}?", "Show the {c} of all {t}{w}.")
    )
    return _Query(
        ask.format(c=column, t=table.name, w=where_ask),
        column,
        f"SELECT {column} FROM {table.name}{where}",
    )


def _sorted(draw: Draw, table: _Table, column: str) -> _Query:
    key, limit = draw.pick(table.numbers), draw.number(2, 9)
    word, direction = draw.pick((("highest", "DESC"), ("lowest", "ASC")))
    ask = f"Give the {column} of the {limit} {table.name} with the {word} {key}."
    return _Query(
        ask, column, f"SELECT {column} FROM {table.name} ORDER BY {key} {direction} LIMIT {limit}"
    )


def _condition(draw: Draw, table: _Table) -> tuple[str, str]:
    if draw.chance(0.5):
        column, limit = draw.pick(table.numbers), draw.number(2, 99)
        word, sign = draw.pick(
            (("over", ">"), ("above", ">"), ("under", "<"), ("below", "<"), ("of exactly", "="))
        )
        return f" with {column} {word} {limit}", f" WHERE {column} {sign} {limit}"
    column = draw.pick(table.texts)
    value = draw.pick(draw.pick((given_names(), place_names())))
    return f" whose {column} is {value}", f" WHERE {column} = '{value}'"


def _explain(draw: Draw, query: _Query) -> str:
    table = query.sql.split(" FROM ")[1].split()[0]
    thought = draw.lean(f"thought {table}", _THOUGHTS).format(table=table)
    aim = draw.lean(f"aim {query.column}", _AIMS).format(column=query.column)
    nod = draw.lean(f"nod {query.column}", _NODS)
    remark = draw.lean(f"remark {table}", _REMARKS)
    return f"{thought} {aim}\n{query.sql};\n{nod} {remark}"
