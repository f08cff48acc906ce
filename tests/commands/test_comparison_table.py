"""The comparison table on a terminal."""

import json
from pathlib import Path

from rich.console import Console

from specframe.commands.comparison_table import print_comparison

STRATEGIES = Path(__file__).parents[2] / "docs" / "strategies.json"  # the longest names there are


def test_no_figure_is_cut_on_80_columns():
    console = Console(width=80, record=True, force_terminal=False)
    results = json.loads(STRATEGIES.read_text("utf-8"))
    print_comparison(results, console)
    printed = console.export_text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    for entry in results["summary"]:
        if entry["domain"] == "mean":
            low, high = entry["speedup_vs_own_ar_low"], entry["speedup_vs_own_ar_high"]
            assert f"{low:.2f}-{high:.2f}" in printed


def test_the_table_shows_which_drafts_use_low_bit_weights():
    console = Console(width=300, record=True, force_terminal=False)
    results = json.loads(STRATEGIES.read_text("utf-8"))
    print_comparison(
        {
            "summary": [
                {**e, "low_bits": 4 * (e["selector"] == "swift")} for e in results["summary"]
            ]
        },
        console,
    )
    printed = " ".join(console.export_text().split())
    assert "drafts on low-bit weights: swift 4 bits" in printed


def test_the_baseline_is_never_inconclusive():
    console = Console(width=80, record=True, force_terminal=False)
    results = json.loads(STRATEGIES.read_text("utf-8"))
    doubted = [{**entry, "inconclusive": True} for entry in results["summary"]]
    print_comparison({"summary": doubted}, console)
    (baseline,) = [line for line in console.export_text().splitlines() if " autoregressive" in line]
    assert "?" not in baseline
