"""The page: one self-contained file without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from specframe.bench.report.comparison import Comparison, contender_of, machine
from specframe.bench.report.contexts import contexts
from specframe.bench.report.cross_domain import cross_domain
from specframe.bench.report.engine import engine_figure
from specframe.bench.report.facts import definitions, facts, fingerprint
from specframe.bench.report.figure import Figure
from specframe.bench.report.hidden import hidden
from specframe.bench.report.markup import EMPTY, Markup, join, tag, text
from specframe.bench.report.prediction import prediction
from specframe.bench.report.shares import shares
from specframe.bench.report.skip_map import skip_map
from specframe.bench.report.speedups import speedups
from specframe.bench.report.studies import study_figures
from specframe.bench.report.tables import choice_table, summary_table
from specframe.bench.report.verdict import Verdict, choices, verdict
from specframe.bench.report.wording import INTERVALS, domain_name, fold, interval, percent
from specframe.prompts.usual import TESTBED
from specframe.testbed.disclosure import DISCLOSURE

__all__ = ["figures", "page"]

DRAWN = (speedups, skip_map, contexts, cross_domain, prediction, shares, hidden, summary_table)


def figures(comparison: Comparison) -> list[Figure]:
    """All figures of a run in the order of the page, including those without data.

    Where only studies were run, figures of a comparison are left out without a note.
    """
    found = [draw(comparison) for draw in DRAWN]
    if comparison.only_studies:
        found = [figure for figure in found if not figure.missing]
    if comparison.engine is not None:
        found.append(engine_figure(comparison.engine))
    return [*found, *study_figures(comparison.studies)]


def page(runs: Sequence[Comparison]) -> str:
    """The whole page for one run or several; a run's real model comes right after it."""
    runs = [one for run in runs for one in (run, run.real) if one is not None]
    sections = [_run(comparison, number, len(runs)) for number, comparison in enumerate(runs)]
    words = tag("section", tag("h2", text("What the words mean")), definitions(), id="words")
    names = ", ".join(comparison.name for comparison in runs)
    return Template(_template("report.html")).substitute(
        title=text(f"specframe: {names}"),
        style=_template("report.css"),
        contents=_contents(runs) if len(runs) > 1 else EMPTY,
        runs=join(*sections),
        words=words,
    )


def _template(name: str) -> str:
    return (files("specframe.bench") / "templates" / name).read_text(encoding="utf-8")


def _contents(runs: Sequence[Comparison]) -> Markup:
    lines = (
        tag(
            "li",
            tag("a", text(comparison.name), href=f"#run-{number}"),
            text(f": {verdict(comparison).sentence}"),
        )
        for number, comparison in enumerate(runs)
    )
    return tag("nav", tag("h2", text("Runs")), tag("ol", *lines), aria_label="Runs")


def _run(comparison: Comparison, number: int, of: int) -> Markup:
    prefix = f"run-{number}-" if of > 1 else ""
    said = verdict(comparison)
    drawn = figures(comparison)
    head = tag(
        "header",
        tag("p", text(_place(comparison)), class_="place"),
        tag("h1", text(_title(comparison))),
        tag("p", text(said.sentence), class_="verdict", data_pays=str(said.pays).lower()),
        tag("p", text(_reach(comparison)), class_="place"),
        tag("p", text(DISCLOSURE), class_="disclosure") if _of_testbed(comparison) else EMPTY,
        _tiles(said),
        _best(comparison),
        _jumps(drawn, prefix),
    )
    return tag(
        "article",
        head,
        *(figure.html(prefix) for figure in drawn),
        tag(
            "section",
            tag("h2", text("What was run")),
            tag(
                "p", text(f"Fingerprint of settings, machine and model: {fingerprint(comparison)}")
            ),
            facts(comparison),
            class_="ran",
        ),
        id=f"run-{number}",
    )


def _reach(comparison: Comparison) -> str:
    """What the intervals include, and the time that calibrations had."""
    if not comparison.summary:
        return ""
    budget = str(comparison.results.get("calibration_budget") or "")
    return f"{INTERVALS} {budget[:1].upper()}{budget[1:]}{'.' if budget else ''}"


def _title(comparison: Comparison) -> str:
    if comparison.only_studies:
        return "What studies found"
    return f"How fast does {comparison.model or 'it'} decode here?"


def _of_testbed(comparison: Comparison) -> bool:
    """Whether any figure is of the testbed, studies included."""
    studies = comparison.studies.values()
    models = [(study.get("config") or {}).get("model", TESTBED) for study in studies]
    return TESTBED in [comparison.model, *models]


def _place(comparison: Comparison) -> str:
    day = str(comparison.results.get("created") or "")[:10]
    return " · ".join(part for part in (comparison.name, day, *machine(comparison)) if part)


def _tiles(said: Verdict) -> Markup:
    """The best contender's figures, large."""
    entry = said.entry
    if entry is None:
        return EMPTY
    own, library = "speedup_vs_own_ar", "speedup_vs_transformers"
    shown = [
        (fold(entry[own]), "over own autoregressive decoding", interval(entry, own)),
        (fold(entry[library]), "over transformers' generate", interval(entry, library)),
        (percent(entry["exact_match"]), "greedy answers identical", ""),
        (percent(entry["acceptance"]), "of drafted tokens accepted", ""),
        (percent(entry["selection_share"], 1), "of time spent on selection", ""),
    ]
    tiles = (
        tag(
            "li",
            tag("b", text(value)),
            tag("span", text(label)),
            tag("small", text(between)) if between else EMPTY,
        )
        for value, label, between in shown
    )
    heading = tag("h3", text(f"{contender_of(entry)}, {domain_name(entry['domain'])}"))
    return join(heading, tag("ul", *tiles, class_="tiles"))


def _best(comparison: Comparison) -> Markup:
    found = choices(comparison)
    if not found:
        return EMPTY
    return join(tag("h3", text("Best by domain")), choice_table(found))


def _jumps(drawn: Sequence[Figure], prefix: str) -> Markup:
    links = (
        tag("a", text(figure.title), href=f"#{prefix}{figure.name}")
        for figure in drawn
        if not figure.missing
    )
    return tag("nav", *links, class_="jumps", aria_label="Figures")
