"""The verdict: what a run says of its strategies in one sentence."""

import re

from doubles.made_results import made_results, small_results, summed_up, with_paces

from specframe.bench.report import Comparison, verdict
from specframe.bench.report.comparison import ContenderName
from specframe.bench.report.verdict import choices
from specframe.contract.naming import read_named


def test_the_verdict_names_the_fastest_and_where_it_gains_least():
    said = verdict(Comparison(made_results(per_domain=2, repeats=1)))
    assert str(said.winner) == "knap-knn"
    assert said.pays
    assert "Use knap-knn" in said.sentence
    assert "in all 5 domains, with the smallest speed-up in story" in said.sentence
    assert "All greedy answers are identical" in said.sentence


def test_the_verdict_names_strategies_with_overlapping_intervals():
    near = with_paces(knapspec=1.5, static_bo=1.503, knap_knn=1.2)
    sentence = verdict(near).sentence
    assert "overlap" in sentence
    assert "knapspec" in sentence
    assert "static-bo" in sentence
    assert "knap-knn" not in sentence


def test_the_verdict_names_all_that_overlap_the_fastest():
    names = [f"strategy-{i}" for i in range(6)]
    paces = {("autoregressive", "best"): 1.0} | {(name, "best"): 1.5 for name in names}
    said = verdict(Comparison(made_results((0,), per_domain=2, paces=paces, noise=0.05)))
    others = said.sentence.partition("The intervals of ")[2].partition(" overlap it.")[0]
    *before, last = sorted(set(names) - {str(said.winner)})
    assert {*others.replace(" and ", ", ").split(", ")} == {*before, last}
    assert others.count(" and ") == 1


def test_a_contender_is_written_as_on_the_command_line():
    for written in ("swift", "swift:faithful", "swift:faithful+window=8", "swift+window=8"):
        named = read_named(written)
        settings = written.partition("+")[2]
        selector = f"{named.name}+{settings}" if settings else named.name
        assert str(ContenderName(selector, named.preset)) == written
    assert str(ContenderName("transformers", "")) == "transformers"


def test_the_verdict_says_if_no_strategy_is_faster():
    said = verdict(with_paces(knapspec=0.9))
    assert said.winner is None
    assert not said.pays
    assert said.sentence.startswith("Decode autoregressively")
    assert "Autoregressive decoding is 1.7" in said.sentence
    assert "knapspec at 0.9" in said.sentence


def without_drafts(made, *names):
    """The same run, in which these strategies decoded autoregressively throughout."""
    summary = [
        entry | {"drafting_rounds": 0.0} if entry["selector"] in names else entry
        for entry in made.results["summary"]
    ]
    return Comparison(made.results | {"summary": summary})


def test_the_verdict_never_names_a_strategy_that_never_drafted():
    faster = with_paces(knapspec=1.3, static_bo=1.2)
    assert str(verdict(faster).winner) == "knapspec"
    said = verdict(without_drafts(faster, "knapspec"))
    assert str(said.winner) == "static-bo"
    assert "knapspec" not in said.sentence
    said = verdict(none := without_drafts(faster, "knapspec", "static-bo"))
    assert said.winner is None
    assert "Decode autoregressively" in said.sentence
    assert "knapspec never drafted" in said.sentence
    assert all(choice.winner is None for choice in choices(none))


def test_the_verdict_says_if_answers_differ():
    small = small_results()
    rows = [row | {"exact_match": row["domain"] != "sql"} for row in small["rows"]]
    said = verdict(Comparison(small | {"rows": rows, "summary": summed_up(rows)}))
    assert re.search(r"80\.0\s% of the greedy answers", said.sentence)


def test_a_library_row_can_win():
    said = verdict(with_paces(knapspec=0.9, transformers_prompt_lookup=2.0))
    assert str(said.winner) == "transformers-prompt-lookup"
