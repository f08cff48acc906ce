"""`specframe bench engine` on a shape small enough for a test."""

import json
from dataclasses import replace

import pytest
import torch
from doubles.command_line import specframe
from doubles.ticking import TickingClock

from specframe.bench.engine import figures as bench
from specframe.bench.engine import shapes
from specframe.bench.engine.forward import ROWS, SHARES, forward_ms
from specframe.bench.engine.memory import measure_memory
from specframe.bench.engine.overhead import measure_overhead
from specframe.bench.engine.shapes import (
    BenchShape,
    plant,
    random_model,
    spread_skips,
    weight_bytes,
)
from specframe.executors.load import load_executor

MINI = BenchShape("mini", 4, 64, 4, 2, 96, 128, True, turns=2, blocks=2, block_tokens=4)
CPU = torch.device("cpu")


def nothing():
    return None


@pytest.fixture(scope="module")
def model():
    return random_model(MINI, CPU)


def test_a_random_model_is_bf16_and_the_same_each_time(model):
    again = random_model(MINI, CPU)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.parameters(), again.parameters(), strict=True)
    )
    ids = torch.tensor([[1, 2, 3]])
    assert bool(torch.isfinite(model(ids).logits).all())


@pytest.mark.parametrize(("tied", "spared"), [(True, 0), (False, 128 * 64 * 2)])
def test_an_untied_embedding_is_not_read_per_token(tied, spared):
    found = random_model(replace(MINI, tied=tied), CPU)
    assert weight_bytes(found) - weight_bytes(found, read_per_token=True) == spared


@pytest.mark.parametrize("layers", [22, 24])
@pytest.mark.parametrize("share", SHARES)
def test_spread_skips_have_the_share_asked_in_both_halves_of_the_model(layers, share):
    skips = spread_skips(layers, share)
    assert len(skips) == round(share * 2 * layers)
    lower = sum(sublayer < layers for sublayer in skips)
    assert abs(lower - len(skips) / 2) <= 2


def test_forward_times_cover_every_row_count_and_share(model):
    found = forward_ms(load_executor(model), range(40), nothing, turns=1)
    assert list(found) == [f"{share:g}" for share in SHARES]
    for by_rows in found.values():
        assert list(by_rows) == [str(rows) for rows in ROWS]
        assert min(by_rows.values()) > 0


def test_drafts_of_a_planted_model_all_stand_and_overhead_is_a_share():
    planted, skips = random_model(MINI, CPU), spread_skips(MINI.layers, 0.5)
    plant(planted, skips)
    found = measure_overhead(load_executor(planted), range(30), skips, nothing, turns=1)
    assert found["acceptance"] == 1.0
    assert 0.0 < found["share"] < 1.0


def test_a_walk_takes_what_the_walks_that_were_timed_took(monkeypatch):
    planted, skips = random_model(MINI, CPU), spread_skips(MINI.layers, 0.5)
    plant(planted, skips)
    executor = load_executor(planted)
    clock = TickingClock(monkeypatch, ("specframe.bench.engine.overhead",))
    clock.costs(type(executor), "walk", 1.0)
    found = measure_overhead(executor, range(30), skips, nothing, turns=1)
    assert found["ms_per_walk"] == pytest.approx(1000.0)


@pytest.mark.slow
def test_every_figure_is_written_and_explained(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(shapes.SHAPES, "mini", MINI)
    monkeypatch.setattr(bench, "measure_memory", lambda *_: None)  # a process of its own: slow
    monkeypatch.setattr(bench, "best_bandwidth", lambda *_: {"sum": 1e9, "copy": 2e9})
    target = tmp_path / "E.json"
    threads = str(torch.get_num_threads())
    arguments = ("--shape", "mini", "--threads", threads, "--json", target)
    assert specframe(monkeypatch, "bench", "engine", *arguments) == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert set(bench.MEANING) <= set(figures)
    speeds = figures["tokens_per_second"]
    library = max(speeds["dynamic"], speeds["static"])
    assert figures["ar_vs_transformers"] == pytest.approx(speeds["fused"] / library)
    read = figures["weight_bytes"]["read_per_token"]
    assert figures["bandwidth_share"] == pytest.approx(read * speeds["fused"] / 2e9)
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("ar_vs_transformers", "overhead_share", "not measured"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "7B"], "Known: 19M, 1.1B"),
        (["--threads", "0"], "at least 1"),
        (["--device", "tpu"], "cpu or cuda"),
        (["--json", "nowhere/E.json"], "existing folder"),
    ],
)
def test_bad_options_are_one_line_and_status_two(monkeypatch, capsys, arguments, message):
    assert specframe(monkeypatch, "bench", "engine", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_said_before_the_work(monkeypatch, capsys):
    assert specframe(monkeypatch, "bench", "engine", "--device", "cuda") == 2
    assert "finds none here" in capsys.readouterr().err


@pytest.mark.slow
def test_a_generation_needs_little_more_than_its_keys_and_values():
    found = measure_memory(replace(MINI, hidden=512, layers=8, intermediate=1024), 1, "cpu")
    assert found is not None
    assert found.keys_and_values > 0
    assert found.growth < found.keys_and_values + found.weights + 64e6  # libraries' own buffers
