"""A whole comparison on a tiny model: from its folder and a file of prompts to the report."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from doubles.tiny_place import tiny_place
from typer.testing import CliRunner

from specframe.bench import real_model
from specframe.bench.prepare import calibrating_strategies, planned
from specframe.bench.schema import RESULTS, ROW, SUMMARY
from specframe.bench.settings import PRESETS, BenchSettings
from specframe.bench.summary import BASELINE, LIBRARY
from specframe.calibration.run import CALIBRATED_ON
from specframe.commands.cli import app
from specframe.doors.loading import load
from specframe.errors import DownloadFailed, InvalidRequest
from specframe.prompts.everyday import EVERYDAY_DOMAINS
from specframe.testbed.disclosure import DISCLOSURE

GRID = """[grid]
strategies = ["static-bo", "knapspec", "knn-ssd:faithful"]
per_domain = 2
repeats = 2
new_tokens = 12
calibration_prompts = 4
calibration_seconds = 0.3
rivals = true
"""
RUN = "import sys; from specframe.commands.cli import main; sys.argv[0] = 'specframe'; main()"
TIMED = ("seconds", "bytes", "rounds", "drafted", "accepted", "skipped", "skips", "share", "low")
PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """The place with a grid."""
    with tiny_place(tmp_path_factory.mktemp("place")) as folder:
        (folder / "grid.toml").write_text(GRID, encoding="utf-8")
        yield folder


def arguments(place: Path, *more: str) -> list[str]:
    named = {"--model": "model", "--prompts": "prompts.jsonl", "--grid": "grid.toml"}
    given = [text for option, name in named.items() for text in (option, str(place / name))]
    return ["bench", *given, *more]


@pytest.fixture(scope="module")
def whole(place) -> dict[str, Any]:
    """An unbroken run."""
    done = CliRunner().invoke(app, arguments(place, "--run", str(place / "whole")))
    assert done.exit_code == 0, done.output
    results: dict[str, Any] = json.loads((place / "whole" / "results.json").read_text("utf-8"))
    return results


@pytest.mark.slow
def test_a_comparison_holds_what_its_schema_says(whole):
    assert set(whole) == set(RESULTS)
    assert all(set(row) == set(ROW) for row in whole["rows"])
    assert all(set(entry) == set(SUMMARY) for entry in whole["summary"])
    means = [entry for entry in whole["summary"] if entry["domain"] == "mean"]
    assert {entry["selector"] for entry in means} == {
        BASELINE,
        LIBRARY,
        "transformers-early-exit",
        "transformers-prompt-lookup",
        "static-bo",
        "knapspec",
        "knn-ssd",
    }
    assert {e["preset"] for e in means if e["selector"] == "knn-ssd"} == {"faithful"}
    assert len(whole["rows"]) == len(means) * 2 * 2 * 2


@pytest.mark.slow
def test_strategies_are_exact_and_their_time_shares_add_up(whole):
    own = [e for e in whole["summary"] if not e["selector"].startswith(LIBRARY)]
    for entry in own:
        assert entry["exact_match"] == 1.0
        assert entry["prediction_error"] is not None
        shares = [entry[f"{part}_share"] for part in ("selection", "draft", "verify", "other")]
        assert sum(shares) == pytest.approx(1.0)


@pytest.mark.slow
def test_calibration_prompts_are_counted_and_benchmark_prompts_differ(whole):
    assert whole["calibration"]["static-bo"]["prompts"] == 2 * 4
    assert len({prompt["digest"] for prompt in whole["prompts"]}) == 2 * 2


@pytest.mark.slow
def test_the_run_becomes_a_page(whole, place):
    page = (place / "whole" / "report.html").read_text(encoding="utf-8")
    assert "How fast does" in page
    assert 'data-figure="speedups"' in page


@pytest.mark.slow
def test_a_strategy_calibrated_on_benchmark_prompts_is_refused(whole, place, monkeypatch):
    from specframe.bench import compare as comparing

    own = comparing.calibration_prompts
    monkeypatch.setattr(
        comparing,
        "calibration_prompts",
        lambda _, asked, *given: [*own(_, asked, *given), asked[0]],
    )
    done = CliRunner().invoke(app, arguments(place, "--run", str(place / "seen")))
    assert isinstance(done.exception, InvalidRequest)
    assert "calibrated on" in str(done.exception)
    assert not (place / "seen" / "rows.jsonl").exists()


@pytest.mark.slow
def test_a_folder_that_was_calibrated_on_benchmark_prompts_is_refused(whole, place):
    calibrated = place / "calibrated"
    shutil.copytree(place / "whole" / "calibrations" / "static-bo", calibrated)
    seen = [whole["prompts"][0]["digest"]]
    (calibrated / CALIBRATED_ON).write_text(json.dumps(seen), encoding="utf-8")
    more = ("--strategies", str(calibrated), "--run", str(place / "folder"))
    done = CliRunner().invoke(app, arguments(place, *more))
    assert isinstance(done.exception, InvalidRequest)
    assert "1 benchmark prompts were calibrated on" in str(done.exception)


def test_calibration_uses_the_end_tokens_of_the_model(place, monkeypatch, tmp_path):
    from specframe.bench import compare as comparing

    loaded, labs = load(str(place / "model")), []
    loaded.model.generation_config.eos_token_id = [7, 9]

    def prepare(*given: Any) -> None:
        labs.append(given[2])
        raise KeyboardInterrupt

    monkeypatch.setattr("specframe.rig.load", lambda name: loaded)
    monkeypatch.setattr(comparing, "prepare", prepare)
    prompts = str(place / "prompts.jsonl")
    settings = BenchSettings("here", prompts, calibration_prompts=3, calibration_seconds=0.1)
    with pytest.raises(KeyboardInterrupt):
        comparing.compare(settings, tmp_path / "run")
    assert [lab._ends for lab in labs] == [frozenset({7, 9})]


@pytest.mark.slow
def test_a_run_is_not_resumed_on_another_machine_or_with_other_versions(whole, place, monkeypatch):
    from specframe.bench import compare as comparing

    assert {"processor", "threads", "torch", "specframe"} == set(comparing._machine())
    monkeypatch.setattr(
        comparing, "fingerprint", lambda device: whole["environment"] | {"torch": "9"}
    )
    done = CliRunner().invoke(app, arguments(place, "--resume", str(place / "whole")))
    assert isinstance(done.exception, InvalidRequest)
    assert "here it is 9" in str(done.exception)


def test_a_folder_without_a_run_is_not_resumed(place):
    done = CliRunner().invoke(app, arguments(place, "--resume", str(place / "hwole")))
    assert isinstance(done.exception, InvalidRequest)
    assert "holds no run" in str(done.exception)
    assert not (place / "hwole").exists()


@pytest.mark.slow
def test_a_resumed_run_keeps_the_facts_of_its_calibrations(whole, place):
    run = place / "again"
    shutil.copytree(place / "whole", run)
    done = CliRunner().invoke(app, arguments(place, "--resume", str(run)))
    assert done.exit_code == 0, done.output
    resumed = json.loads((run / "results.json").read_text("utf-8"))
    assert resumed["calibration"] == whole["calibration"]
    assert resumed["calibration"]["static-bo"]["seconds"] > 0.0


@pytest.fixture
def plain(place, monkeypatch):
    """`specframe bench` without options, where the testbed and the real model are tiny ones."""
    quick = {
        "model": str(place / "model"),
        "prompts": str(place / "prompts.jsonl"),
        "strategies": ("knapspec",),
        "per_domain": 1,
        "repeats": 1,
        "new_tokens": 8,
    }
    settings_of_quick = BenchSettings(**quick)
    monkeypatch.setitem(PRESETS, "quick", settings_of_quick)
    real = BenchSettings(**quick | {"new_tokens": 6})
    monkeypatch.setattr(real_model, "REAL", real)
    return real


def bench_plainly(place, name):
    figures = place / f"{name}.json"
    arguments = ["bench", "--run", str(place / name), "--json", str(figures)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.output, json.loads(figures.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_real_model_is_compared_after_the_testbed(plain, place, monkeypatch):
    monkeypatch.setattr(real_model, "fetched_or_why", lambda tell: None)
    output, results = bench_plainly(place, "both")
    assert DISCLOSURE in output
    assert results["config"]["new_tokens"] == 8
    assert results["real_model"]["config"]["new_tokens"] == 6
    assert set(results["real_model"]) == set(RESULTS)
    kept = json.loads((place / "both" / "results.json").read_text(encoding="utf-8"))
    assert kept == results
    page = (place / "both" / "report.html").read_text(encoding="utf-8")
    assert page.count("<article") == 2


def test_without_a_connection_one_line_says_so(plain, place, monkeypatch):
    monkeypatch.setattr(real_model, "fetch", unreachable)
    output, results = bench_plainly(place, "alone")
    (line,) = [line for line in output.splitlines() if "is left out" in line]
    assert line.endswith("No connection. Check it.")
    assert results["real_model"] is None


def unreachable(name, tell):
    raise DownloadFailed("No connection.\n  Check it.")


def instead_of_comparing(monkeypatch):
    """The settings of comparisons that the command would run."""
    asked = []
    monkeypatch.setattr(
        "specframe.bench.compare.compare", lambda settings, *run, **told: asked.append(settings)
    )
    monkeypatch.setattr("specframe.doors.loading.located", lambda model: None)
    monkeypatch.setattr("specframe.commands.comparing._finish", lambda *results: None)
    return asked


def test_compare_is_the_comparison_with_plain_settings(place, monkeypatch):
    asked = instead_of_comparing(monkeypatch)
    for more in ((), ("--quick",)):
        done = CliRunner().invoke(app, ["compare", "--model", "testbed", *more])
        assert done.exit_code == 0, done.output
    assert [grid.strategies for grid in asked] == [("all",), ("all",)]
    assert [grid.rivals for grid in asked] == [True, False]
    assert asked[1].per_domain < asked[0].per_domain


@pytest.mark.parametrize("more", [(), ("--quick",)])
def test_a_real_model_is_compared_within_minutes_and_what_is_left_out_is_printed(more, monkeypatch):
    asked = instead_of_comparing(monkeypatch)
    done = CliRunner().invoke(app, ["compare", "--model", "smollm2", *more])
    assert done.exit_code == 0, done.output
    (settings,) = asked
    contenders = len(settings.strategies) + 2  # and decoding without drafts, here and there
    prompts = len(settings.domains) * settings.per_domain
    assert prompts * contenders * settings.repeats <= 90
    calibrated = calibrating_strategies(settings.strategies)
    assert len(calibrated) * settings.calibration_seconds <= 75.0
    assert settings.per_domain >= 2  # one prompt of a domain gives no interval
    assert "Left out to keep it short: the domains " in done.output
    named = done.output.partition("the domains ")[2].partition(", other strategies")[0]
    assert sorted([*named.split(", "), *settings.domains]) == sorted(EVERYDAY_DOMAINS)
    assert "specframe bench --preset standard --model smollm2" in done.output


def test_all_strategies_on_a_real_model_get_more_prompts(monkeypatch):
    asked = instead_of_comparing(monkeypatch)
    given = ["compare", "--model", "smollm2", "--strategies"]
    for strategies in ("all", "knapspec"):
        done = CliRunner().invoke(app, [*given, strategies])
        assert done.exit_code == 0, done.output
        assert "Left out to keep it short: the domains " in done.output
    every, one = asked
    assert (every.strategies, one.strategies) == (("all",), ("knapspec",))
    assert every.per_domain > one.per_domain


def test_the_size_of_a_comparison_is_printed():
    settings = BenchSettings(strategies=("swift", "cascade"), new_tokens=8, rivals=True)
    size = "6 contenders generate up to 8 tokens for 5 prompts, 2 times each"
    assert planned(settings, 5) == size
    assert planned(replace(settings, repeats=1), 5) == size.replace(", 2 times each", "")


def test_all_domains_of_a_users_prompt_file_are_used(monkeypatch):
    asked = instead_of_comparing(monkeypatch)
    own = ["compare", "--model", "smollm2", "--prompts", "mine.jsonl", "--strategies", "all"]
    done = CliRunner().invoke(app, own)
    assert (asked[0].domains, asked[0].per_domain) == ((), 4)
    assert asked[0].strategies == ("all",)
    assert "Left out to keep it short: more prompts" in done.output


@pytest.mark.slow
def test_a_run_killed_in_the_middle_resumes_to_the_same_rows(whole, place):
    run = place / "killed"
    command = [sys.executable, "-c", RUN, *arguments(place)]
    started = subprocess.Popen([*command, "--run", str(run)], env=quiet())
    wait_for_rows(run / "rows.jsonl", 10)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    kept = (run / "rows.jsonl").read_bytes()
    whole_rows = kept[: kept.rfind(b"\n") + 1]
    assert 10 <= whole_rows.count(b"\n") < len(whole["rows"])
    assert not (run / "results.json").exists()
    subprocess.run([*command, "--resume", str(run)], env=quiet(), check=True, timeout=PATIENCE)
    assert (run / "rows.jsonl").read_bytes().startswith(whole_rows)
    resumed = json.loads((run / "results.json").read_text("utf-8"))
    caches = {(at / "library-cache.json").read_text("utf-8") for at in (run, place / "whole")}
    told = partial(untimed, one_cache=len(caches) == 1)
    assert list(map(told, resumed["rows"])) == list(map(told, whole["rows"]))
    matches = [
        [e["exact_match"] for e in results["summary"] if len(caches) == 1 or not is_library(e)]
        for results in (resumed, whole)
    ]
    assert matches[0] == matches[1]


def untimed(row: dict[str, Any], one_cache: bool) -> dict[str, Any]:
    """The values of a row that do not depend on the clock.

    Two runs may choose different caches for the library, which may change its tokens.
    """
    kept = {key: value for key, value in row.items() if not any(word in key for word in TIMED)}
    if is_library(row) and not one_cache:
        del kept["tokens"], kept["exact_match"], kept["parting"]
    return kept


def is_library(row: dict[str, Any]) -> bool:
    return str(row["selector"]).startswith("transformers")


def quiet() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def wait_for_rows(path: Path, count: int) -> None:
    ends = monotonic() + PATIENCE
    while monotonic() < ends:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        sleep(0.02)
    pytest.fail(f"{path} has not {count} rows after {PATIENCE} s")
