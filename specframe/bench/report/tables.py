"""Tables of the report: all entries of the summary, and the best contender by domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from specframe.bench.report import wording
from specframe.bench.report.comparison import Comparison, Entry, Setting, contender_of
from specframe.bench.report.figure import Figure, absent
from specframe.bench.report.markup import EMPTY, Markup, tag, text
from specframe.bench.report.panels import folds, scroller
from specframe.bench.report.speedups import by_speed
from specframe.bench.report.verdict import Choice
from specframe.bench.report.wording import MEAN, count, domain_name, percent
from specframe.testbed.disclosure import EXIT_NOTE, exit_mark

__all__ = ["COLUMNS", "choice_table", "summary_table"]

NAME, TITLE = "summary", "Every figure"
Column = tuple[str, str, Callable[..., str]]  # heading, key of the summary, how it is written

COLUMNS: tuple[Column, ...] = (
    ("vs own AR", "speedup_vs_own_ar", wording.fold),
    ("vs transformers", "speedup_vs_transformers", wording.fold),
    ("end to end, own AR", "end_to_end_vs_own_ar", wording.fold),
    ("end to end, transformers", "end_to_end_vs_transformers", wording.fold),
    ("ms per token", "tokens_per_second", wording.milliseconds_each),
    ("tokens/s", "tokens_per_second", partial(count, digits=1)),
    ("ms to the first token", "first_token_seconds", wording.milliseconds),
    ("exact", "exact_match", percent),
    ("near-ties", "near_ties", percent),
    ("acceptance", "acceptance", partial(count, digits=3)),
    ("a round", "mean_accepted", count),
    ("draft length", "mean_drafted", count),
    ("drafting rounds", "drafting_rounds", percent),
    ("tree rounds", "tree_rounds", percent),
    ("attention skipped", "skipped_attention", percent),
    ("MLP skipped", "skipped_mlp", percent),
    ("on low-bit weights", "low_bit_share", percent),
    ("low bits", "low_bits", partial(count, digits=0)),
    ("selection", "selection_share", partial(percent, digits=2)),
    ("prediction error", "prediction_error", partial(percent, digits=1)),
    ("memory", "peak_bytes", wording.bytes_),
    ("prompts", "prompts", str),
)


def summary_table(comparison: Comparison) -> Figure:
    """A line for each entry of the summary."""
    if not comparison.summary:
        return absent(NAME, TITLE, "This run has no finished answers.")
    caption = (
        "One line per contender and domain. ? marks a speed-up whose 95\N{NO-BREAK SPACE}% "
        "interval contains 1 and is wider than ±4\N{NO-BREAK SPACE}%, or which comes from one "
        "prompt. The columns are explained at the end of the page."
    )
    if any(exit_mark(comparison.model, entry["selector"]) for entry in comparison.summary):
        caption += f" {EXIT_NOTE}."
    body = folds(comparison.settings, lambda setting: _setting(comparison, setting))
    return Figure(NAME, TITLE, caption, body)


def _setting(comparison: Comparison, setting: Setting) -> Markup:
    heads = (tag("th", text(heading), title=key, scope="col") for heading, key, _ in COLUMNS)
    head = tag("thead", tag("tr", tag("th", text("contender"), scope="col"), *heads))
    bodies = []
    order = by_speed(comparison.entries(setting, MEAN))
    for domain in [MEAN, *comparison.domains]:
        found = comparison.entries(setting, domain)
        entries = sorted(found, key=lambda entry: order.index(contender_of(entry)))
        name, width = tag("span", text(domain_name(domain))), len(COLUMNS) + 1
        title = tag("th", name, colspan=width, scope="rowgroup")
        lines = (_line(entry, comparison.model) for entry in entries)
        bodies.append(tag("tbody", tag("tr", title, class_="group"), *lines))
    return scroller(tag("table", head, *bodies, class_="summary"), f"All figures, {setting}")


def _line(entry: Entry, model: str) -> Markup:
    contender = contender_of(entry)
    unsure = bool(entry["inconclusive"]) and contender.kind != "baseline"
    doubt = tag("abbr", text(" ?"), title="inconclusive") if unsure else EMPTY
    cells = (
        tag("td", text(_written(entry, key, write)), doubt if key == COLUMNS[0][1] else EMPTY)
        for _, key, write in COLUMNS
    )
    return tag(
        "tr",
        tag("th", text(f"{contender}{exit_mark(model, contender.selector)}"), scope="row"),
        *cells,
        class_="unsure" if unsure else None,
        data_mark=NAME,
        data_selector=contender.selector,
        data_preset=contender.preset,
        data_domain=entry["domain"],
        data_inconclusive=str(bool(entry["inconclusive"])).lower(),
    )


def _written(entry: Entry, key: str, write: Callable[..., str]) -> str:
    between = wording.interval(entry, key)
    return write(entry.get(key)) + (f" ({between})" if between else "")


def choice_table(choices: Sequence[Choice]) -> Markup:
    """The best contender of every domain, with a column for each setting."""
    settings = list(dict.fromkeys(choice.setting for choice in choices))
    domains = list(dict.fromkeys(choice.domain for choice in choices))
    found = {(choice.setting, choice.domain): choice for choice in choices}
    lines = [
        tag(
            "tr",
            tag("th", text(domain_name(domain)), scope="row"),
            *(_choice(found.get((setting, domain))) for setting in settings),
        )
        for domain in domains
    ]
    heads = (tag("th", text(setting), scope="col") for setting in settings)
    head = tag("thead", tag("tr", tag("td"), *heads))
    table = tag("table", head, tag("tbody", *lines), class_="choices")
    return scroller(table, "The best strategy by domain")


def _choice(choice: Choice | None) -> Markup:
    if choice is None:
        return tag("td", text("–"))
    name = str(choice.winner) if choice.winner else "autoregressive"
    name += f", {choice.low_bits}-bit" if choice.low_bits else ""
    speed = wording.fold(choice.speedup) if choice.winner else "nothing is faster"
    return tag("td", tag("b", text(name)), text(f" {speed}"))
