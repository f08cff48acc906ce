"""`specframe bench engine` on a shape small enough for a test."""

import json
import time
from dataclasses import replace

import pytest
import torch
from doubles.command_line import specframe
from doubles.ticking import TickingClock

from specframe.bench.engine import figures as bench
from specframe.bench.engine import shapes
from specframe.bench.engine.bandwidth import Reading
from specframe.bench.engine.decoders import decoders
from specframe.bench.engine.forward import ROWS, SHARES, forward_ms
from specframe.bench.engine.memory import measure_memory, require_room
from specframe.bench.engine.operations import operations_of_token
from specframe.bench.engine.overhead import measure_overhead
from specframe.bench.engine.peers import read_peers
from specframe.bench.engine.shapes import (
    BenchShape,
    plant,
    random_model,
    shape_of,
    spread_skips,
    weight_bytes,
)
from specframe.errors import InvalidRequest
from specframe.executors.fused.native import sublayers
from specframe.executors.fused.native.sublayers import NativeSublayers
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
def test_spread_skips_have_the_requested_share_in_both_halves_of_the_model(layers, share):
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


def test_all_drafts_of_a_planted_model_are_accepted_and_overhead_is_a_share():
    planted, skips = random_model(MINI, CPU), spread_skips(MINI.layers, 0.5)
    plant(planted, skips)
    found = measure_overhead(load_executor(planted), range(30), skips, nothing, turns=1)
    assert found["acceptance"] == 1.0
    assert 0.0 < found["share"] < 1.0


def test_ms_per_walk_is_the_mean_of_the_timed_walks(monkeypatch):
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
    read_memory = Reading(lambda: time.sleep(0.01), 20_000_000)  # 2 GB/s, a little less
    monkeypatch.setattr(bench, "reading", lambda *_: read_memory)
    target = tmp_path / "E.json"
    threads = str(torch.get_num_threads())
    peers = tmp_path / "peers.json"
    peers.write_text('{"bf16": {"ms_per_token": 4.0, "least": 3.9}}', encoding="utf-8")
    asked = ("--shape", "mini", "--threads", threads, "--profile", "--peer-json", peers)
    arguments = (*asked, "--json", target)
    assert specframe(monkeypatch, "bench", "engine", *arguments) == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert set(bench.MEANING) <= set(figures)
    speeds = figures["tokens_per_second"]
    library = max(speeds["dynamic"], speeds["static"])
    assert figures["ar_vs_transformers"] == pytest.approx(speeds["fused"] / library)
    read = figures["weight_bytes"]["read_per_token"]
    limit = figures["limit_tokens_per_second"]
    assert limit == pytest.approx(2e9 / read, rel=0.2)
    assert figures["bandwidth_share"] == pytest.approx(speeds["fused"] / limit, rel=0.3)
    assert figures["peers"] == {"bf16": 4.0}
    assert figures["operations"]
    shown = capsys.readouterr().out
    assert "peer, bf16" in shown
    assert "Operations of one token" in shown
    assert all(name in shown for name in ("ar_vs_transformers", "overhead_share", "not measured"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "7B"], "Known: 19M, 1.1B"),
        (["--shape", "19M", "--model", "testbed"], "Give one"),
        (["--peer-json", "nowhere.json"], "cannot be read"),
        (["--threads", "0"], "between 1 and"),
        (["--device", "tpu"], "cpu or cuda"),
        (["--json", "nowhere/E.json"], "existing folder"),
    ],
)
def test_bad_options_are_one_line_and_status_two(monkeypatch, capsys, arguments, message):
    assert specframe(monkeypatch, "bench", "engine", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "does not have the form"),
        ("[1]", "does not have the form"),
        ('{"f16": {"least": 1}}', "does not have the form"),
        ('{"f16": {"ms_per_token": 0}}', "Give a positive number"),
        ('{"f16": {"ms_per_token": NaN}}', "NaN is no finite number"),
    ],
)
def test_a_file_of_peers_that_cannot_be_read_is_refused(content, message, tmp_path):
    file = tmp_path / "peers.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidRequest, match=message):
        read_peers(file)


def test_decoders_are_compared_with_ours_and_with_the_memory_limit():
    found = decoders(
        {
            "tokens_per_second": {"fused": 50.0, "dynamic": 25.0, "static": 40.0},
            "peers": {"bf16": 25.0},
            "limit_tokens_per_second": 100.0,
        }
    )
    shown = {decoder.name: decoder.shown for decoder in found}
    assert shown["fused"] == ("50.0", "20.00", "50%", "1.00×")
    assert shown["transformers, dynamic cache"] == ("25.0", "40.00", "25%", "2.00×")
    assert shown["peer, bf16"] == ("40.0", "25.00", "40%", "1.25×")
    assert shown["limit of the memory"] == ("100.0", "10.00", "100%", "0.50×")


def test_a_loaded_model_is_measured_in_its_own_shape(model):
    found = shape_of("mine", model)
    assert replace(found, name="mini", source=None, turns=2, blocks=2, block_tokens=4) == MINI


def test_a_model_is_measured_in_the_requested_dtype(model):
    for dtype, expected in (("auto", torch.bfloat16), ("float32", torch.float32)):
        built = shapes.build(replace(MINI, dtype=dtype), torch.device("cpu"))
        assert {parameter.dtype for parameter in built.parameters()} == {expected}


def test_a_model_too_short_for_the_longest_text_is_refused():
    with pytest.raises(InvalidRequest, match="128 tokens after 1500, and mini has 1600 positions"):
        require_room(replace(MINI, positions=1600))


def test_a_model_that_the_fused_executor_cannot_run_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=11))
    with pytest.raises(InvalidRequest, match=r"cannot run 'mine'.*specframe bench --model mine"):
        shape_of("mine", other)


@pytest.mark.parametrize("compiled", [True, False])
def test_every_operation_of_a_token_is_counted_per_token(model, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(sublayers, "compiled", lambda dtype: None)
    executor = load_executor(model)
    found = operations_of_token(executor, executor.new_cache(4))
    if executor.compiled:
        assert found["specframe::sublayers"]["calls"] == found["specframe::head"]["calls"] == 1
    else:
        assert found["aten::mm"]["calls"] == 4 * MINI.layers + 1
    times = [figures["ms"] for figures in found.values()]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("compiled", [True, False])
def test_products_alone_read_every_matrix(model, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(sublayers, "compiled", lambda dtype: None)
    executor = load_executor(model)
    seen = []
    take = lambda part: seen.append(part.weight.numel())  # noqa: E731
    if executor.compiled:
        alone = lambda self, sized, *_: [take(part) for part, _ in sized]  # noqa: E731
        monkeypatch.setattr(NativeSublayers, "_products", alone)
    else:
        monkeypatch.setattr(type(executor), "_linear", lambda self, part, rows: take(part))
    executor.products_alone()
    norms = (2 * MINI.layers + 1) * MINI.hidden
    assert 2 * (sum(seen) + norms) == weight_bytes(model, read_per_token=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_reported_before_the_work(monkeypatch, capsys):
    assert specframe(monkeypatch, "bench", "engine", "--device", "cuda") == 2
    assert "finds none here" in capsys.readouterr().err


@pytest.mark.slow
def test_a_generation_needs_little_more_than_its_keys_and_values():
    found = measure_memory(replace(MINI, hidden=512, layers=8, intermediate=1024), 1, "cpu")
    assert found is not None
    assert found.keys_and_values > 0
    assert found.growth < found.keys_and_values + found.weights + 64e6  # libraries' own buffers
