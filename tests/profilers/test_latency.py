"""Walks split into parts; the profile finds what is slow, is kept, and is refused elsewhere."""

import time
from dataclasses import replace

import pytest
import torch
from doubles.architecture_doubles import executor_of, model_of
from doubles.ticking import TickingClock
from doubles.tiny import Tiny, tiny_executor, tiny_model
from torch import nn

from specframe.costs.model import CostModel
from specframe.errors import CalibrationMismatch, InvalidConfig
from specframe.executors.fused.executor import FusedExecutor
from specframe.profilers import latency
from specframe.profilers.clocks import Sample, time_interleaved, typical
from specframe.profilers.latency import (
    LatencyGrid,
    LatencyProfile,
    default_grid,
    profile_latency,
)
from specframe.profilers.machine import layer_kinds, machine_facts
from specframe.profilers.parts import split_walks, timed_sets
from specframe.profilers.store import find_profile, load_profile, save_profile
from specframe.types import SkipSet

SMALL = LatencyGrid((8, 96), (1, 4), budget_seconds=0.0)  # the fewest repeats
CPU = torch.device("cpu")


class SlowAttention(FusedExecutor):
    """Each attention sublayer waits."""

    seconds = 0.003

    def _attention(self, *arguments):
        time.sleep(self.seconds)
        return super()._attention(*arguments)


@pytest.fixture(autouse=True, scope="module")
def full_weights_only():
    """Prices of low-bit weights, most of the walks, have a test file of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "with_low_prices", lambda executor, costs, budget: costs)
        yield


@pytest.fixture(scope="module")
def usual():
    return profile_latency(tiny_executor(), SMALL)


def test_the_profile_of_a_model_with_slow_attention_finds_it():
    slow = profile_latency(SlowAttention(tiny_model(Tiny())), SMALL).costs
    for n, rows in ((8, 1), (96, 4)):
        assert slow.sublayer(0, n, rows) > 0.9 * SlowAttention.seconds
        assert slow.sublayer(1, n, rows) < slow.sublayer(0, n, rows) / 2


@pytest.fixture
def ticking(monkeypatch):
    """Attention 3 seconds, MLP 1, head 2, and half a second to begin a walk."""
    clock = TickingClock(monkeypatch, ("specframe.profilers.clocks",))
    for name, seconds in (("_attention", 3.0), ("_mlp", 1.0), ("logits", 2.0), ("_frame", 0.5)):
        clock.costs(FusedExecutor, name, seconds)
    return clock


def test_parts_are_separated_exactly(ticking):
    costs = profile_latency(tiny_executor(), SMALL).costs
    for n, rows in ((8, 1), (50, 3), (96, 4)):
        assert costs.sublayer(0, n, rows) == pytest.approx(3.0)
        assert costs.sublayer(1, n, rows) == pytest.approx(1.0)
        assert costs.head.at(n, rows) == pytest.approx(2.0)
        assert costs.base.at(n, rows) == pytest.approx(0.5)
    assert costs.autoregressive(8) == pytest.approx(0.5 + 2 * (3.0 + 1.0) + 2.0)
    assert costs.spread == pytest.approx(0.0, abs=1e-9)


def test_slow_attention_turns_the_plan_towards_skipping_it(ticking):
    costs = profile_latency(tiny_executor(), SMALL).costs
    attention, mlp = SkipSet.of(2, attention=[0, 1]), SkipSet.of(2, mlp=[0, 1])
    assert costs.draft_step(attention, 50) == pytest.approx(4.5)
    assert costs.draft_step(mlp, 50) == pytest.approx(8.5)
    assert costs.best_draft_length(0.9, attention, 50) > 0
    assert costs.best_draft_length(0.6, mlp, 50) == 0


def test_only_the_slow_kind_of_layer_is_found_slow(ticking):
    class OneSlow(FusedExecutor):
        def _attention(self, layer, index, *others):
            ticking.now += 10.0 * (index >= 2)
            return super()._attention(layer, index, *others)

    costs = profile_latency(OneSlow(tiny_model(Tiny(layers=4))), SMALL, (0, 0, 1, 1)).costs
    assert costs.sublayer(0, 8) == pytest.approx(3.0)
    assert costs.sublayer(4, 8) == pytest.approx(13.0)
    assert costs.sublayer(5, 8) == pytest.approx(1.0)


@pytest.mark.parametrize("kinds", [(0,) * 4, (0, 1, 1, 0), (0, 1, 2)])
def test_parts_are_found_exactly_where_walks_are_their_sums(kinds):
    truth = [0.5, *(1.0 + 0.3 * i for i in range(2 * (max(kinds) + 1)))]

    def walk(skips):
        kept = [truth[1 + 2 * kinds[i // 2] + i % 2] for i in skips.kept]
        return truth[0] + sum(kept)

    sets = timed_sets(kinds)
    found = split_walks([walk(skips) for skips in sets], sets, kinds)
    assert found.seconds == pytest.approx(truth)
    assert found.miss == pytest.approx(0.0, abs=1e-9)


def test_the_set_left_out_measures_the_error_of_the_sum():
    kinds = (0, 0, 0, 0)
    sets = timed_sets(kinds)
    seconds = [1.0 + len(skips.kept) for skips in sets]
    seconds[-1] *= 1.25
    assert split_walks(seconds, sets, kinds).miss == pytest.approx(0.2)


def test_layers_of_experts_and_of_windows_are_priced_apart():
    for name, kinds in (("mixtral", 1), ("gemma2", 2)):
        executor = executor_of(name)
        found = layer_kinds(model_of(name), executor.shape.layers)
        assert max(found) + 1 == kinds
        costs = profile_latency(executor, LatencyGrid((8,), (1, 4), 0.1), found).costs
        assert len(costs.attention) == len(costs.mlp) == kinds
        assert costs.sublayer(0, 8) > 0


def test_tables_cover_the_grid_and_never_fall_with_the_context(usual):
    costs = usual.costs
    assert costs.attention[0].contexts == SMALL.contexts
    assert costs.head.rows == SMALL.rows
    for table in (costs.attention[0], costs.base):
        assert all(a <= b for a, b in zip(*table.seconds, strict=True))
    assert usual.repeats >= 3


def test_long_contexts_are_timed_at_few_row_counts():
    grid = LatencyGrid((100, 8192), (1, 2, 4, 8, 16))
    assert grid.rows_at(100) == (1, 2, 4, 8, 16)
    assert grid.rows_at(8192) == (1, 8, 16)


def test_the_usual_grid_ends_where_all_rows_still_fit():
    grid = default_grid(tiny_executor())
    assert grid.contexts[-1] + grid.rows[-1] == Tiny().positions
    assert default_grid(tiny_executor(), (64, 8)).contexts == (8, 64)


def test_fewer_rows_are_timed_where_walks_are_slow():
    usual, few = default_grid(tiny_executor()), default_grid(tiny_executor(), slow=True)
    assert set(few.rows) < set(usual.rows)
    assert few.contexts[-1] == usual.contexts[-1]


@pytest.mark.parametrize("arguments", [((),), ((0, 8),), ((8, 4),), ((8,), ())])
def test_a_grid_of_wrong_knots_is_refused(arguments):
    with pytest.raises(InvalidConfig):
        LatencyGrid(*arguments)


def test_calls_alternate_so_that_a_slow_moment_affects_all():
    order = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    timed = time_interleaved(calls, CPU, budget_seconds=0.0, fewest=3)
    assert "".join(order) == "abc" * 4  # one sweep warms up
    assert {len(sample.seconds) for sample in timed.values()} == {3}


def test_progress_is_reported_after_each_sweep():
    reported = []
    call = {"a": lambda: None}
    time_interleaved(call, CPU, budget_seconds=0.0, progress=lambda *done: reported.append(done))
    assert reported == [(1, 3), (2, 3), (3, 3)]


def test_interruptions_do_not_move_what_a_call_takes():
    assert typical([1.0, 1.1, 1.2, 9.0, 9.0]) == pytest.approx(1.1)
    assert Sample((1.0, 1.0, 1.5)).noise == 0.0
    assert Sample((1.0, 1.0, 1.5, 2.0)).noise == pytest.approx(0.25)


def test_layers_are_of_one_kind_where_shapes_and_windows_are_equal():
    assert layer_kinds(tiny_model(Tiny(layers=3)), 3) == (0, 0, 0)
    windowed = tiny_model(Tiny(family="qwen2", layers=4, window=9))
    assert layer_kinds(windowed, 4) == (0, 0, 1, 1)
    windowed.model.layers[3].mlp.up_proj = nn.Linear(16, 40)
    assert layer_kinds(windowed, 4) == (0, 0, 1, 2)


@pytest.fixture
def kept(tmp_path, monkeypatch, usual):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    save_profile(usual)
    return usual


def test_a_kept_profile_is_found_again(kept):
    facts = machine_facts(tiny_executor(), (0, 0))
    assert find_profile(facts) == kept
    assert find_profile(facts, SMALL) == kept
    assert find_profile(facts, LatencyGrid((8, 96, 120), (1, 4))) is None
    assert find_profile({**facts, "threads": "77"}) is None


def test_a_profile_of_another_machine_is_refused_with_the_remedy(kept, tmp_path):
    folder = save_profile(kept, tmp_path / "elsewhere")
    facts = machine_facts(tiny_executor(), (0, 0))
    assert load_profile(folder, facts) == kept
    with pytest.raises(CalibrationMismatch, match=r"threads 64.* Run `specframe profile --again`"):
        load_profile(folder, {**facts, "threads": "64"})


def test_facts_name_executor_machine_and_shape():
    facts = machine_facts(tiny_executor(strict=True), (0, 0))
    assert facts["executor"] == "fused strict"  # float64 is never compiled
    assert facts["dtype"] == "float64"
    assert facts["device"] == "cpu"
    assert "layers=2 hidden=16" in facts["shape"]
    assert machine_facts(tiny_executor(), (0, 1)) != machine_facts(tiny_executor(), (0, 0))


def test_a_profile_warns_where_lines_parts_or_quiet_do_not_hold(usual):
    fine = replace(usual, noise=0.0, worst_miss=0.0)
    table = usual.costs.attention[0]
    bent = replace(table, contexts=(8, 96, 100, 104), seconds=((1.0,) * 2,) * 3 + ((9.0,) * 2,))
    costs: CostModel = replace(usual.costs, attention=(bent,))
    assert "not linear" in LatencyProfile(costs, 0.0, 0.0, 3, 1.0).warnings[0]
    assert any("busy" in text for text in replace(fine, noise=0.5).warnings)
    assert any("whole walks differ" in text for text in replace(fine, worst_miss=0.5).warnings)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_calls_are_timed_by_events():
    square = torch.randn(2048, 2048, device="cuda")
    calls = {1: lambda: square @ square, 8: lambda: [square @ square for _ in range(8)]}
    timed = time_interleaved(calls, square.device, budget_seconds=0.2)
    assert 4 < timed[8].typical / timed[1].typical < 16
