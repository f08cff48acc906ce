"""Tables of the report: every entry of the summary, the best of each setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specframe.bench.report.comparison import Comparison, Entry, Setting, contender_of
from specframe.bench.report.figure import Figure, absent
from specframe.bench.report.markup import EMPTY, Markup, tag, text
from specframe.bench.report.panels import folds, scroller
from specframe.bench.report.speedups import by_speed
from specframe.bench.report.verdict import Choice
from specframe.bench.report.wording import MEAN, bytes_, count, domain_name, fold, interval, percent

__all__ = ["COLUMNS", "choice_table", "summary_table"]

NAME, TITLE = "summary", "Every figure"
Column = tuple[str, str, Callable[[Entry], str]]  # heading, key of the definition, text


def _speed(key: str) -> Callable[[Entry], str]:
    def show(entry: Entry) -> str:
        between = interval(entry, key)
        return fold(entry[key]) + (f" ({between})" if between else "")

    return show


COLUMNS: tuple[Column, ...] = (
    ("vs own AR", "speedup_vs_own_ar", _speed("speedup_vs_own_ar")),
    ("vs transformers", "speedup_vs_transformers", _speed("speedup_vs_transformers")),
    ("end to end, own AR", "end_to_end_vs_own_ar", _speed("end_to_end_vs_own_ar")),
    (
        "end to end, transformers",
        "end_to_end_vs_transformers",
        _speed("end_to_end_vs_transformers"),
    ),
    ("tokens/s", "tokens_per_second", lambda e: count(e["tokens_per_second"], 1)),
    ("exact", "exact_match", lambda e: percent(e["exact_match"])),
    ("near-ties", "near_ties", lambda e: percent(e["near_ties"])),
    ("acceptance", "acceptance", lambda e: count(e["acceptance"], 3)),
    ("a round", "mean_accepted", lambda e: count(e["mean_accepted"])),
    ("draft length", "mean_drafted", lambda e: count(e["mean_drafted"])),
    ("drafting rounds", "drafting_rounds", lambda e: percent(e["drafting_rounds"])),
    ("tree rounds", "tree_rounds", lambda e: percent(e["tree_rounds"])),
    ("attention skipped", "skipped_attention", lambda e: percent(e["skipped_attention"])),
    ("MLP skipped", "skipped_mlp", lambda e: percent(e["skipped_mlp"])),
    ("selection", "selection_share", lambda e: percent(e["selection_share"], 2)),
    ("prediction error", "prediction_error", lambda e: percent(e["prediction_error"], 1)),
    ("memory", "peak_bytes", lambda e: bytes_(e["peak_bytes"])),
    ("prompts", "prompts", lambda e: str(e["prompts"])),
)


def summary_table(comparison: Comparison) -> Figure:
    """A line an entry of the summary."""
    if not comparison.summary:
        return absent(NAME, TITLE, "This run has no finished answers to sum up.")
    caption = (
        "One line per contender and domain; ? marks a speed-up whose 95\N{NO-BREAK SPACE}% "
        "interval is wider than ±4\N{NO-BREAK SPACE}%, or of one prompt. What the columns mean is "
        "said at the end of the page."
    )
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
        title = tag(
            "th", tag("span", text(domain_name(domain))), colspan=len(COLUMNS) + 1, scope="rowgroup"
        )
        lines = (_line(entry) for entry in entries)
        bodies.append(tag("tbody", tag("tr", title, class_="group"), *lines))
    return scroller(tag("table", head, *bodies, class_="summary"), f"All figures, {setting}")


def _line(entry: Entry) -> Markup:
    contender = contender_of(entry)
    unsure = bool(entry["inconclusive"]) and contender.kind != "baseline"
    doubt = tag("abbr", text(" ?"), title="inconclusive") if unsure else EMPTY
    cells = (
        tag("td", text(show(entry)), doubt if key == "speedup_vs_own_ar" else EMPTY)
        for _, key, show in COLUMNS
    )
    return tag(
        "tr",
        tag("th", text(contender), scope="row"),
        *cells,
        class_="unsure" if unsure else None,
        data_mark=NAME,
        data_selector=contender.selector,
        data_preset=contender.preset,
        data_domain=entry["domain"],
        data_inconclusive=str(bool(entry["inconclusive"])).lower(),
    )


def choice_table(choices: Sequence[Choice]) -> Markup:
    """The best of every domain, a column a setting."""
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
    speed = fold(choice.speedup) if choice.winner else "nothing pays"
    return tag("td", tag("b", text(name)), text(f" {speed}"))
