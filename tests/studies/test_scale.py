"""Profiles of large models that come with the package, and plans at their prices."""

from dataclasses import replace

import pytest
from doubles.priced_worlds import planted_rig

from specframe.costs.model import CostModel, LowPrices
from specframe.costs.tables import Table
from specframe.errors import ArtefactError, InvalidConfig
from specframe.studies import scale
from specframe.studies.framework.running import run_study
from specframe.studies.scale import STUDY, ScaleSettings
from specframe.studies.worlds.prices import SHIPPED, kept_prices, spread_over
from specframe.types import SkipSet

FEW = {"prompts": 1, "new_tokens": 16, "link": "20:10", "calibration": 3, "evaluations": 6}
COMPOSED = {"llama-3.1-8B": 32, "qwen3-32B": 64, "llama-3.1-70B": 80}


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_profiles_say_what_is_simulated(name):
    costs = kept_prices(name)
    assert costs.layers == COMPOSED[name]
    assert f"one of {costs.layers} layers" in costs.simulated
    assert costs.facts["executor"] == "fused"
    assert name in spread_over(costs, 6).simulated
    assert costs.sublayer(0, 32768) > costs.sublayer(0, 128)  # attention grows, an MLP does not
    assert costs.sublayer(1, 32768) == pytest.approx(costs.sublayer(1, 128), rel=0.05)


def test_larger_models_cost_more_and_the_shipped_one_is_measured():
    seconds = [kept_prices(name).autoregressive(512) for name in SHIPPED]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 5 * seconds[1]  # 70B against 8B: 8.8 times the weights
    assert kept_prices().simulated == ""


def test_an_unknown_profile_is_refused_with_the_known_names():
    with pytest.raises(ArtefactError, match=r"llama-3\.1-70B"):
        kept_prices("llama-3.1-7B")


def test_plans_follow_the_prices_and_the_measured_acceptance(monkeypatch, tmp_path):
    monkeypatch.setattr(scale, "priced_rig", lambda name, place: planted_rig())
    settings = ScaleSettings(
        contexts=(128, 32768), shapes=("8B",), devices=(1,), strategies=("autoregressive",), **FEW
    )
    results = run_study(STUDY, settings, tmp_path)
    rows = [row for row in results["rows"] if "profile" in row]
    assert [(row["profile"], row["context"]) for row in rows] == [
        (name, n) for name in SHIPPED for n in (128, 32768)
    ]
    for row in rows:
        assert row["simulated"] == (row["profile"] in COMPOSED)
        assert row["speed"] > 1.2  # the planted half is skipped, every draft accepted
        assert 0.2 < row["skipped_mlp"] <= 1.0
        assert 2.0 <= row["draft"] <= 32.0
        prices = kept_prices(row["profile"])
        assert row["token_seconds"] == prices.autoregressive(row["context"])
    assert "layers" in results["simulated"]["llama-3.1-70B"]
    assert results["speed"]["qwen3-32B"] == [row["speed"] for row in rows[4:6]]


@pytest.mark.slow
def test_every_strategy_has_a_row_for_each_shape_and_number_of_devices(monkeypatch, tmp_path):
    monkeypatch.setattr(scale, "priced_rig", lambda name, place: planted_rig())
    few = {"profiles": SHIPPED[:1], "contexts": (128,), "shapes": ("8B", "405B"), **FEW}
    settings = ScaleSettings(devices=(1, 8), strategies=("static-bo", "knapspec"), **few)
    results = run_study(STUDY, settings, tmp_path)
    for shape in settings.shapes:
        assert set(results[shape]) == {"1", "8"}
        for devices, found in results[shape].items():
            assert set(found) == set(settings.strategies)
            for row in found.values():
                assert row["speedup"] > 1.2  # as above
                assert 0.0 <= row["lookup_share"] < 0.5
                whole = results[shape]["1"]["knapspec"]["weight_bytes"]
                assert row["weight_bytes"] == whole // int(devices)
        one, eight = (results[shape][n]["knapspec"] for n in ("1", "8"))
        assert eight["token_seconds"] > one["token_seconds"] / 8  # sums take time
        assert (one["split_loss"], 0.0 < eight["split_loss"] < 0.2) == (0.0, True)
    assert results["405B"]["8"]["knapspec"]["weight_bytes"] * 8 == pytest.approx(812e9, rel=0.01)
    assert "Scaled from 80 layers" in results["simulated"]["405B"]
    assert results["all_reduce"] == {
        "link": "20:10",
        "latency_seconds": pytest.approx(20e-6),
        "seconds_per_byte": pytest.approx(1e-10),
    }
    assert "Simulated for 405B on 8 devices" in results["answer"]


@pytest.mark.parametrize("wrong", [{"shapes": ("9B",)}, {"devices": (3,)}, {"link": "fast"}])
def test_unknown_shapes_and_devices_are_refused(wrong):
    with pytest.raises(InvalidConfig, match=f"{next(iter(wrong))!r} parameter of ScaleSettings"):
        ScaleSettings(**wrong)


def test_low_bit_prices_are_spread_like_full_ones():
    table = Table((0,), (1,), ((6.0,),))
    low = LowPrices(4, (table,), (table,), table, (60,), (90,), 7)
    costs = replace(CostModel((0,) * 3, (table,), (table,), table, table), low=(low,))
    spread, every = spread_over(costs, 6), SkipSet.none(3).lower(4)
    more = SkipSet.none(6).lower(4)
    assert spread.draft_step(more, 0) == pytest.approx(costs.draft_step(every, 0))
    assert spread.low_bytes(more) == costs.low_bytes(every)
