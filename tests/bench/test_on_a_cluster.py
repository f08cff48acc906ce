"""A comparison on a local Ray cluster of two workers, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
from doubles.tiny import tiny_model
from doubles.tiny_place import TINY, tiny_place
from typer.testing import CliRunner

from specframe.bench.compare import compare
from specframe.bench.settings import BenchSettings, settings_from_toml
from specframe.bench.summary import BASELINE, LIBRARY
from specframe.commands.cli import app
from specframe.errors import InvalidRequest, WorkersFailed
from specframe.scheduling.ray_workers import Cluster

GRID = """[grid]
strategies = ["knapspec", "prompt-lookup", "swift"]
per_domain = 2
repeats = 2
new_tokens = 12
"""
ROWS = 5 * 2 * 2 * 2
PATIENCE = 240  # seconds
ON_A_CLUSTER = ("--ray", "local", "--workers", "2")
ACTOR = "ray::_Actor"

slow = pytest.mark.slow


def test_workers_without_a_cluster_are_refused():
    done = CliRunner().invoke(app, ["bench", "--workers", "2"])
    assert isinstance(done.exception, InvalidRequest)
    assert "Add --ray local" in str(done.exception)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    with tiny_place(tmp_path_factory.mktemp("place")) as folder:
        (folder / "grid.toml").write_text(GRID, encoding="utf-8")
        yield folder


def started(place: Path, *more: str) -> subprocess.Popen:
    named = {"--model": "model", "--prompts": "prompts.jsonl", "--grid": "grid.toml"}
    given = [text for option, name in named.items() for text in (option, str(place / name))]
    command = [sys.executable, "-m", "specframe", "bench", *given, *more]
    return subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors


def results_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def whole(place) -> dict[str, Any]:
    """An unbroken run without a cluster."""
    ended(started(place, "--run", str(place / "whole")))
    return results_of(place / "whole")


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["selector"], row["preset"], row["prompt"], row["repeat"]


def asked_at(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["prompt"], row["repeat"], row["worker"]["id"]


def require_same(results: dict[str, Any], whole: dict[str, Any]) -> None:
    """Every row once, with the same keys and answers, and with its partners on its worker."""
    rows, answers = results["rows"], {key(row): row["tokens"] for row in whole["rows"]}
    assert len(answers) == len(whole["rows"]) == ROWS
    assert {key(row) for row in rows} == set(answers)
    compared = [row for row in rows if row["selector"] not in (BASELINE, LIBRARY)]
    assert set(Counter(map(key, compared)).values()) == {1}
    assert len({(*key(row), row["worker"]["id"]) for row in rows}) == len(rows)
    assert {tuple(row) for row in rows} == {tuple(row) for row in whole["rows"]}
    # the library runs with the cache that was faster, which may change its tokens
    own = [row for row in rows if row["selector"] != LIBRARY]
    assert [row["tokens"] for row in own] == [answers[key(row)] for row in own]
    assert all(row["exact_match"] for row in own)
    partners = {
        (row["selector"], row["prompt"], row["repeat"], row["worker"]["id"]) for row in rows
    }
    for row in compared:
        at = row["prompt"], row["repeat"], row["worker"]["id"]
        assert {(BASELINE, *at), (LIBRARY, *at)} <= partners
    assert results["failed"] == []
    for entry in results["summary"]:
        assert entry["speedup_vs_own_ar"] > 0.0


def wait_for_rows(path: Path, count: int, process: subprocess.Popen) -> None:
    ends = monotonic() + PATIENCE
    while monotonic() < ends:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        assert process.poll() is None, process.communicate()[1]
        sleep(0.01)
    pytest.fail(f"{path} has not {count} rows after {PATIENCE} s")


def actors(process: subprocess.Popen) -> list[psutil.Process]:
    """The cluster's workers, which descend from the process that started it."""
    every = psutil.Process(process.pid).children(recursive=True)
    return [one for one in every if one.cmdline() and one.cmdline()[0].startswith(ACTOR)]


@slow
def test_a_worker_killed_in_the_middle_costs_no_row(whole, place):
    run = place / "bereaved"
    process = started(place, *ON_A_CLUSTER, "--run", str(run))
    wait_for_rows(run / "rows.jsonl", 8, process)
    both = actors(process)
    assert len(both) == 2
    both[0].send_signal(signal.SIGKILL)
    assert (run / "rows.jsonl").read_bytes().count(b"\n") < ROWS / 2
    ended(process)
    require_same(results_of(run), whole)


@slow
@pytest.mark.parametrize("more", [(), ON_A_CLUSTER], ids=["here", "on a cluster"])
def test_a_run_whose_driver_was_killed_is_resumed(whole, place, more):
    run = place / f"killed{len(more)}"
    process = started(place, *ON_A_CLUSTER, "--run", str(run))
    wait_for_rows(run / "rows.jsonl", 12, process)
    both = actors(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = (run / "rows.jsonl").read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert 12 <= kept.count(b"\n") < ROWS
    _, alive = psutil.wait_procs(both, timeout=30)
    assert not alive  # workers end with the process that started their cluster
    ended(started(place, *more, "--resume", str(run)))
    assert (run / "rows.jsonl").read_bytes().startswith(kept)
    require_same(results_of(run), whole)


@slow
def test_a_run_begun_here_is_resumed_on_a_cluster(whole, place):
    run = place / "moved"
    process = started(place, "--run", str(run))
    wait_for_rows(run / "rows.jsonl", 7, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ended(started(place, *ON_A_CLUSTER, "--resume", str(run)))
    results = results_of(run)
    require_same(results, whole)
    here = {row["worker"]["id"] for row in whole["rows"]}
    assert here < {row["worker"]["id"] for row in results["rows"]}


@slow
def test_workers_that_load_other_weights_are_refused(place, tmp_path):
    """Someone replaces the model's files after the run has begun."""

    def tell(text: str) -> None:
        if "workers load" in text:
            tiny_model(replace(TINY, sharpness=2.0)).save_pretrained(place / "model")

    base = BenchSettings(model=str(place / "model"), prompts=str(place / "prompts.jsonl"))
    settings = settings_from_toml(place / "grid.toml", base)
    try:
        with pytest.raises(WorkersFailed, match="its parameters are"):
            compare(settings, tmp_path / "run", tell=tell, cluster=Cluster(workers=1, threads=1))
    finally:
        tiny_model(TINY).save_pretrained(place / "model")
