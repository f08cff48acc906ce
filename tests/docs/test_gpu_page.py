"""The page about GPUs shows what was measured, and says so where nothing was."""

import json

import pytest
import shown_gpu

FIGURES = {
    "environment": {
        "device": "A card",
        "torch": "2.11.0",
        "transformers": "5.17.0",
        "copy_gb_s": 3000.0,
    },
    "8B": {
        "tokens_per_second": {
            "graph": {"tokens_per_second": 160.0},
            "hf_dynamic": {"error": "Traceback"},
        },
        "ar_vs_static": 1.25,
        "bandwidth_share": 0.8,
        "walk_ms": {"200": {"1": 5.0, "16": 6.0}, "eager_200": {"1": 9.0}},
        "exact": {
            "statement": {"statement": "equal bit for bit", "rows_equal": True},
            "generations": {"cases": 12, "share_vs_own_ar": 1.0, "not_near_ties": 0},
        },
        "planted": {"half": {"skipped": "3 s left"}},
    },
}


@pytest.fixture
def shown(tmp_path, monkeypatch):
    path = tmp_path / "gpu.json"
    monkeypatch.setattr(shown_gpu, "SHOWN", path)
    return path


def test_without_figures_the_page_says_first_that_nothing_ran(shown):
    assert shown_gpu.gpu().startswith("**The executor for GPUs has not run on a GPU yet.**")


def test_with_figures_it_names_the_card_and_judges_the_bars(shown):
    shown.write_text(json.dumps(FIGURES), encoding="utf-8")
    page = shown_gpu.gpu()
    assert page.startswith("Measured on one A card")
    assert "| 8B: share of the copying rate | at least 0.85 | 0.80 | missed |" in page
    assert "compiled | at least 1.0 | 1.25 | met |" in page
    assert "without a near-tie | 0 | 0 | met |" in page
    assert "not measured" in page  # drafting, for which no time was left
    assert "| transformers |  |" in page  # it failed
    assert "| 200 | 5.00 | 6.00 |" in page
