"""The script that measures a GPU runs to its end, rehearsed on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "gpu_check.py"
KEYS = {
    "ar_vs_static",
    "attention_us_by_context",
    "bandwidth_share",
    "capture_ms",
    "exact",
    "graph_mib",
    "launches_per_walk",
    "low_bit_ms",
    "memory",
    "overhead_share",
    "planted",
    "prefill_seconds",
    "products",
    "rows_equal",
    "small_operations_us",
    "step_gap_us",
    "syncs_per_draft_step",
    "tokens_per_second",
    "verify8_over_1",
    "walk_ms",
}


def failures(found, where=""):
    """Where a measurement left a traceback, or was left out."""
    if not isinstance(found, dict):
        return [where] if isinstance(found, str) and "Error" in found else []
    if {"error", "skipped"} & found.keys():
        return [where]
    return [at for key, value in found.items() for at in failures(value, f"{where}/{key}")]


@pytest.mark.slow
def test_the_rehearsal_measures_everything(tmp_path):
    target = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--recorder", "replay", "--tiny", "--json", str(target)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(SCRIPT), *options], check=True, env=environment)
    found = json.loads(target.read_text(encoding="utf-8"))
    assert found["tiny"].keys() >= KEYS
    assert failures(found) == []
    assert found["tiny"]["exact"]["generations"]["not_near_ties"] == 0
