"""Paired ratios, means and intervals."""

from typing import Any

import pytest

from specframe.bench.schema import SUMMARY
from specframe.bench.summary import summarise


def row(selector: str, prompt: str, decode: float, **more: Any) -> dict[str, Any]:
    """A row of 11 new tokens."""
    plain = {
        "selector": selector,
        "preset": "best",
        "prompt": prompt,
        "domain": prompt.partition("/")[0],
        "context": 0,
        "temperature": 0.0,
        "repeat": 0,
        "new_tokens": 11,
        "first_tokens": 1,
        "prefill_seconds": 1.0,
        "decode_seconds": decode,
        "predicted_seconds": decode,
        "rounds": 5,
        "drafted": 10,
        "accepted": 5,
        "selection_seconds": 0.1 * decode,
        "draft_seconds": 0.3 * decode,
        "verify_seconds": 0.5 * decode,
        "other_seconds": 0.1 * decode,
        "skipped_attention": 0.5,
        "skipped_mlp": 0.25,
        "drafting_share": 1.0,
        "exact_match": True,
        "peak_bytes": 100,
    }
    return plain | more


def entry(rows: list[dict[str, Any]], selector: str, domain: str) -> dict[str, Any]:
    found = [e for e in summarise(rows) if (e["selector"], e["domain"]) == (selector, domain)]
    assert len(found) == 1
    return found[0]


def test_a_speedup_is_the_median_over_prompts_of_the_paired_ratio():
    rows = [row("autoregressive", f"sql/{i}", seconds) for i, seconds in enumerate((2.0, 4.0, 8.0))]
    rows += [row("fixed", f"sql/{i}", seconds) for i, seconds in enumerate((1.0, 2.0, 2.0))]
    found = entry(rows, "fixed", "sql")
    assert found["speedup_vs_own_ar"] == pytest.approx(2.0)  # 2, 2 and 4
    assert found["speedup_vs_own_ar_low"] == pytest.approx(2.0)
    assert found["speedup_vs_own_ar_high"] == pytest.approx(4.0)
    assert not found["inconclusive"]  # the interval is wide and lies above 1


def test_an_interval_around_one_is_conclusive_only_if_it_is_narrow():
    for ratios, unsure in (((0.97, 1.0, 1.03), False), ((0.9, 1.0, 1.1), True)):
        rows = [row("autoregressive", f"sql/{i}", 1.0) for i in range(3)]
        rows += [row("fixed", f"sql/{i}", 1.0 / ratio) for i, ratio in enumerate(ratios)]
        assert entry(rows, "fixed", "sql")["inconclusive"] == unsure


def test_pairs_are_of_the_same_repeat_so_that_drift_cancels():
    rows = []
    for repeat, pace in enumerate((1.0, 3.0)):
        rows.append(row("autoregressive", "sql/0", 2.0 * pace, repeat=repeat))
        rows.append(row("fixed", "sql/0", 1.0 * pace, repeat=repeat))
    found = entry(rows, "fixed", "sql")
    assert found["speedup_vs_own_ar"] == pytest.approx(2.0)
    assert found["inconclusive"]  # one prompt, even with several repeats


def test_speedups_use_the_autoregressive_seconds_measured_with_a_row():
    around = {"own_ar_prefill_seconds": 3.0, "own_ar_decode_seconds": 4.0}
    rows = [row("autoregressive", f"sql/{i}", 1.0) for i in range(2)]
    rows += [row("fixed", f"sql/{i}", 2.0, predicted_seconds=0.5, **around) for i in range(2)]
    found = entry(rows, "fixed", "sql")
    assert found["speedup_vs_own_ar"] == pytest.approx(2.0)  # and not 0.5
    assert found["end_to_end_vs_own_ar"] == pytest.approx((3 + 4) / (1 + 2))
    assert found["prediction_error"] == pytest.approx(0.0)  # 2 predicted, 2 measured


def test_a_domain_of_one_prompt_and_its_mean_are_inconclusive():
    rows = [row("autoregressive", f"sql/{i}", 2.0) for i in range(3)]
    rows += [row("fixed", f"sql/{i}", 1.0) for i in range(3)]
    assert not entry(rows, "fixed", "mean")["inconclusive"]
    rows += [row("autoregressive", "story/0", 2.0), row("fixed", "story/0", 1.0)]
    assert not entry(rows, "fixed", "sql")["inconclusive"]
    assert entry(rows, "fixed", "story")["inconclusive"]
    assert entry(rows, "fixed", "mean")["inconclusive"]


def test_tokens_that_arrive_with_the_first_do_not_count_as_decoded():
    rows = [row("autoregressive", "sql/0", 10.0)]
    rows.append(row("transformers-prompt-lookup", "sql/0", 2.0, first_tokens=5))
    found = entry(rows, "transformers-prompt-lookup", "sql")
    assert found["tokens_per_second"] == pytest.approx(6 / 2)
    assert found["speedup_vs_own_ar"] == pytest.approx(3.0)


def test_the_first_token_takes_its_median_time():
    rows = [row("fixed", f"sql/{i}", 1.0, prefill_seconds=s) for i, s in enumerate((9.0, 1.0, 2.0))]
    rows.append(row("fixed", "story/0", 1.0, prefill_seconds=4.0))
    assert entry(rows, "fixed", "sql")["first_token_seconds"] == 2.0
    assert entry(rows, "fixed", "mean")["first_token_seconds"] == 3.0


def test_an_answer_without_decoded_tokens_has_no_rate():
    rows = [row("autoregressive", "sql/0", 2.0), row("fixed", "sql/0", 1.0)]
    short = [row(name, "sql/1", 1e-7, new_tokens=1) for name in ("autoregressive", "fixed")]
    found = entry(rows + short, "fixed", "sql")
    assert found["speedup_vs_own_ar"] == pytest.approx(2.0)
    assert found["tokens_per_second"] == pytest.approx(10.0)
    assert found["prediction_error"] == pytest.approx(0.0)
    assert found["inconclusive"]  # by one prompt with a rate
    alone = entry(short, "fixed", "sql")
    none = ("speedup_vs_own_ar", "tokens_per_second", "prediction_error")
    assert {alone[key] for key in none} == {None}
    assert alone["end_to_end_vs_own_ar"] == pytest.approx(1.0)


def test_the_memory_of_all_domains_is_the_highest():
    rows = [
        row("fixed", "sql/0", 1.0, peak_bytes=100),
        row("fixed", "story/0", 1.0, peak_bytes=300),
    ]
    assert entry(rows, "fixed", "mean")["peak_bytes"] == 300


def test_the_mean_gives_every_domain_the_same_weight():
    rows = [row("autoregressive", f"sql/{i}", 2.0) for i in range(3)]
    rows += [row("fixed", f"sql/{i}", 1.0) for i in range(3)]
    rows += [row("autoregressive", "story/0", 2.0), row("fixed", "story/0", 2.0)]
    assert entry(rows, "fixed", "mean")["speedup_vs_own_ar"] == pytest.approx(1.5)


def test_the_comparison_with_the_library_is_unknown_if_it_did_not_run():
    rows = [row("autoregressive", "sql/0", 2.0), row("fixed", "sql/0", 1.0)]
    assert entry(rows, "fixed", "sql")["speedup_vs_transformers"] is None
    silent = dict.fromkeys(("rounds", "drafted", "accepted", "selection_seconds"), None)
    silent |= dict.fromkeys(("draft_seconds", "verify_seconds", "other_seconds"), None)
    silent |= dict.fromkeys(("skipped_attention", "skipped_mlp", "predicted_seconds"), None)
    rows.append(row("transformers", "sql/0", 3.0, **silent))
    found = entry(rows, "fixed", "sql")
    assert found["speedup_vs_transformers"] == pytest.approx(3.0)
    assert entry(rows, "transformers", "sql")["acceptance"] is None


def test_shares_and_acceptance_are_pooled():
    rows = [row("autoregressive", "sql/0", 1.0), row("autoregressive", "sql/1", 1.0)]
    rows += [row("fixed", "sql/0", 1.0, drafted=30, accepted=30), row("fixed", "sql/1", 3.0)]
    found = entry(rows, "fixed", "sql")
    assert found["acceptance"] == pytest.approx(35 / 40)
    assert found["selection_share"] == pytest.approx(0.1)
    assert found["mean_accepted"] == pytest.approx(2.0)


def test_the_prediction_error_compares_predicted_and_measured_speedups():
    rows = [
        row("autoregressive", "sql/0", 2.0, predicted_seconds=2.0),
        row("fixed", "sql/0", 1.0, predicted_seconds=0.8),
    ]
    assert entry(rows, "fixed", "sql")["prediction_error"] == pytest.approx(0.25)


def test_a_differing_answer_lowers_the_share_of_exact_matches():
    rows = [row("autoregressive", f"sql/{i}", 1.0) for i in range(2)]
    rows += [row("fixed", "sql/0", 1.0), row("fixed", "sql/1", 1.0, exact_match=False)]
    assert entry(rows, "fixed", "sql")["exact_match"] == pytest.approx(0.5)


def test_every_key_of_the_summary_has_a_sentence():
    rows = [row("autoregressive", "sql/0", 1.0), row("fixed", "sql/0", 1.0)]
    for found in summarise(rows):
        assert set(found) == set(SUMMARY)
    assert all(sentence.endswith(".") for sentence in SUMMARY.values())


def on(worker: str, processor: str) -> dict[str, Any]:
    return {"worker": {"id": worker, "processor": processor, "threads": 1}}


def test_ratios_are_computed_on_one_worker_even_if_it_is_slow():
    fast, slow = on("a", "fast"), on("b", "slow")
    rows = [
        row("autoregressive", "sql/0", 2.0, **fast),
        row("autoregressive", "sql/0", 20.0, **slow),
        row("fixed", "sql/0", 10.0, **slow),
        row("autoregressive", "sql/1", 3.0, **fast),
        row("fixed", "sql/1", 1.5, **fast),
        row("other", "sql/1", 1.0, **slow),  # without a baseline on its worker
    ]
    found = entry(rows, "fixed", "sql")
    assert found["speedup_vs_own_ar"] == pytest.approx(2.0)
    assert found["speedup_vs_own_ar_low"] == found["speedup_vs_own_ar_high"]
    assert entry(rows, "other", "sql")["speedup_vs_own_ar"] is None


def test_seconds_of_machines_that_differ_are_not_pooled():
    slow = row("fixed", "sql/0", 100.0, draft_seconds=100.0, **on("b", "slow"))
    rows = [row("fixed", f"sql/{n}", 1.0, **on("a", "fast")) for n in (1, 2, 3)]
    mixed = entry([slow, *rows], "fixed", "sql")
    assert mixed["tokens_per_second"] is None
    assert mixed["draft_share"] == pytest.approx((3 * 0.3 + 1.0) / 4)
    alike = [row("fixed", f"sql/{n}", 1.0, **on(name, "fast")) for n, name in enumerate("aab")]
    assert entry(alike, "fixed", "sql")["tokens_per_second"] == pytest.approx(10.0)
