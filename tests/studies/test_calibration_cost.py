"""What searches cost: all are judged alike, and one that reached its time limit is censored."""

import pytest
from doubles.planted_labs import LAYERS, PLANTED, planted_prompts
from doubles.priced_worlds import planted_rig
from doubles.written_lab import plain_costs

from specframe.strategies.shared.judging.find_set import MOST_JUDGING
from specframe.studies import calibration_cost
from specframe.studies.calibration_cost import (
    ALONE,
    CACHED,
    FAITHFUL,
    KNAPSACK,
    LOCAL,
    STUDY,
    TRANSFER,
    CalibrationCostSettings,
    _findings,
    _Trace,
)
from specframe.studies.framework.running import run_study
from specframe.studies.worlds.timed_searches import TimedSearches

DOMAINS = ("sql", "story")


def planted_searches(folder, most, usual):
    prompts = planted_prompts(DOMAINS, 10)
    own = {domain: [p for p in prompts if p.domain == domain] for domain in DOMAINS}
    unseen = [prompt for mine in own.values() for prompt in mine[:2]]
    rig = planted_rig().priced(plain_costs(LAYERS)).without_ends()
    searches = TimedSearches(rig, folder, {d: mine[2:] for d, mine in own.items()}, unseen, 8)
    searches.answer(most, usual)
    return searches


def small_searches(model, folder, *, most, usual, judged, new_tokens, place):
    return planted_searches(folder, most, usual)


@pytest.mark.slow
def test_every_way_is_timed_and_judged_on_unseen_prompts(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration_cost, "timed_searches", small_searches)
    settings = CalibrationCostSettings(
        faithful_seconds=0.4, seconds=0.2, prompts=(2, 4), usual=4, iterations=(1, 12)
    )
    results = run_study(STUDY, settings, tmp_path)
    rows = {(row["way"], row["prompts"]): row for row in results["rows"]}
    few, many = (rows[f"{CACHED}, {n} iterations", 4] for n in (1, 12))
    assert [few["evaluations"], many["evaluations"]] == [1, 12]
    assert not few["censored"]
    assert not many["censored"]
    assert many["seconds"] > few["seconds"] > few["answering_seconds"] > 0.0
    faithful = rows[FAITHFUL, 4]
    assert faithful["censored"]
    assert faithful["seconds"] >= (1.0 - MOST_JUDGING) * 0.4  # judging is a part of the seconds
    assert faithful["answering_seconds"] == 0.0
    each = faithful["seconds"] / faithful["evaluations"]
    assert results["faithful_seconds_an_iteration"] == pytest.approx(each)
    assert {ALONE, TRANSFER} <= {way for way, _ in rows}
    assert results["transfer"]["first"] == rows[TRANSFER, 4]["curve"][0][1]
    for way in (LOCAL, KNAPSACK):
        assert rows[way, 4]["answering_seconds"] == pytest.approx(
            2 * rows[way, 2]["answering_seconds"]
        )
        assert rows[way, 4]["curve"][0][0] > rows[way, 4]["answering_seconds"] > 0.0
        assert rows[way, 4]["break_even_tokens"] > 0
    judge = planted_searches(tmp_path / "judge", 4, 4)
    assert results["best"] == max(row["curve"][-1][1] for row in rows.values())
    assert results["best"] >= judge.speedup(PLANTED.bits)
    assert rows[LOCAL, 4]["speedup"] == pytest.approx(judge.speedup(PLANTED.bits))


def test_prompts_alternate_between_domains(tmp_path):
    searches = planted_searches(tmp_path, 2, 2)
    found = searches.split_prompts(2)
    assert [p.tokens[0] > 30 for p in found] == [False, True, False, True]
    assert {p.domain for p in found} == {""}
    assert all(p.tokens[0] > 30 for p in searches.split_prompts(3, ["story"]))


def test_a_cut_trace_is_the_search_up_to_that_trial():
    trace = _Trace(
        ((0.5, 1, 0), (1.5, 3, 6), (4.0, 8, 7)), tuple(0.5 * i for i in range(1, 9)), "evaluations"
    )
    cut = trace.cut(4)
    assert (cut.tried, cut.seconds) == (4, 2.0)
    assert cut.incumbents == trace.incumbents[:2]


@pytest.mark.slow
def test_a_cached_search_that_ends_early_is_censored(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration_cost, "timed_searches", small_searches)
    settings = CalibrationCostSettings(
        faithful_seconds=0.1, cached_seconds=0.3, seconds=0.1, prompts=(2,), usual=2
    )
    rows = run_study(STUDY, settings, tmp_path)["rows"]
    most = next(row for row in rows if row["way"] == f"{CACHED}, 1000 iterations")
    assert most["censored"]
    assert most["evaluations"] < 1000


def made_row(way, curve, seconds, tried=9):
    return {
        "way": way,
        "prompts": 8,
        "speedup": curve[-1][1],
        "curve": curve,
        "seconds": seconds,
        "censored": True,
        "evaluations": tried,
    }


@pytest.mark.parametrize(
    ("faithful", "sooner", "bound", "text"),
    [
        ([[10.0, 1.2]], 30.0, True, "at least 30 times"),
        ([[10.0, 1.2], [24.0, 1.59]], 12.0, False, "12 times as soon"),
    ],
)
def test_a_search_that_never_finds_a_good_set_gives_a_lower_bound(faithful, sooner, bound, text):
    rivals = [
        made_row(LOCAL, [[1.0, 1.1], [4.0, 1.6]], 8.0),
        made_row(KNAPSACK, [[1.0, 1.3], [2.0, 1.58]], 8.0),
    ]
    cached = [made_row(f"{CACHED}, {n} iterations", [[9.0, 1.3]], n, n) for n in (100, 1000)]
    alone = made_row(ALONE, [[1.0, 1.0], [5.0, 1.5]], 8.0)
    transfer = made_row(TRANSFER, [[0.5, 1.4], [2.0, 1.5]], 8.0)
    faithful_row = made_row(FAITHFUL, faithful, 60.0, 5)
    found = _findings(rivals, cached, faithful_row, [alone, transfer])
    assert found.figures["faithful_seconds_an_iteration"] == 12.0
    assert "1000 iterations would take 3.3 h" in found.answer
    assert "1.30x after 100 iterations (100 s), 1.30x after 1000 iterations" in found.answer
    assert (found.figures["transfer"]["seconds"], found.figures["transfer"]["first"]) == (2.0, 1.4)
    assert found.figures["transfer"]["alone_seconds"] == 5.0
    assert found.figures["times_sooner"] == pytest.approx(sooner)
    assert found.figures["times_sooner_is_a_lower_bound"] is bound
    assert found.figures["seconds_to_98_percent"][f"{KNAPSACK}, 8 prompts"] == 2.0
    assert text in found.answer


def test_without_a_gain_searches_are_not_compared():
    rivals = [made_row(LOCAL, [[1.0, 1.0], [4.0, 1.01]], 8.0)]
    cached = [made_row(f"{CACHED}, 9 iterations", [[9.0, 1.0]], 9.0)]
    one = [made_row(way, [[1.0, 1.0]], 2.0) for way in (ALONE, TRANSFER)]
    found = _findings(rivals, cached, made_row(FAITHFUL, [[50.0, 1.0]], 60.0), one)
    assert "gains 1.01x. That is too little to tell" in found.answer
    assert "sooner than" not in found.answer


def test_if_no_search_finds_a_good_set_the_answer_says_so():
    rivals = [made_row(LOCAL, [[1.0, 1.1]], 8.0)]
    cached = [made_row(f"{CACHED}, 9 iterations", [[9.0, 1.3]], 9.0)]
    one = [made_row(way, [[1.0, 1.2]], 2.0) for way in (ALONE, TRANSFER)]
    found = _findings(rivals, cached, made_row(FAITHFUL, [[50.0, 1.6]], 60.0), one)
    assert found.figures["times_sooner"] is None
    assert "Neither" in found.answer


def test_answers_of_an_interrupted_run_are_not_timed_again(tmp_path):
    first = planted_searches(tmp_path, 4, 4).answer_seconds
    assert planted_searches(tmp_path, 4, 4).answer_seconds == first  # all of them were kept
