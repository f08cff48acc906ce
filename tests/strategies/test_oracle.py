"""The oracle: every set of a small model is measured; larger ones get a long local search."""

import math

import pytest
from doubles.planted_labs import (
    LAYERS,
    PLANTED,
    keeps_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from doubles.written_lab import WrittenLab, plain_costs, prompts_of, small_shape

from specframe.contract.naming import strategy_from
from specframe.errors import ArtefactError
from specframe.strategies.oracle import Oracle
from specframe.strategies.shared.searching.offline import OfflineConfig
from specframe.strategies.static_bo import StaticBO
from specframe.types import SkipSet


def test_the_oracle_measures_every_set_of_a_small_model_and_finds_the_best():
    losses = [0.3, 0.02, 0.4, 0.01, 0.25, 0.05]
    lab = WrittenLab(small_shape(3), {"a": losses}, plain_costs(3))
    found = Oracle().calibrate(lab, prompts_of(["a"], 8)).found
    assert (found.ended, found.judged.tried) == ("exhausted", 64)

    def speed(skips):
        alpha = lab.true_acceptance(skips, "a")
        plain = lab.costs.autoregressive(found.judged.context)
        rates = [
            sum(alpha**i for i in range(d + 1))
            / (d * lab.costs.draft_step(skips, 0) + lab.costs.verify(d + 1, 0))
            for d in range(1, 13)
        ]
        return plain * max(rates)

    best = max((SkipSet(6, bits) for bits in range(64)), key=speed)
    assert math.isclose(speed(found.judged.skips), speed(best))


def test_a_larger_model_is_searched_locally_and_long():
    lab = WrittenLab(small_shape(7), {"a": [0.02] * 7 + [0.3] * 7}, plain_costs(7))
    oracle = Oracle(OfflineConfig(search="exhaustive", evaluations=300, seconds=60.0))
    found = oracle.calibrate(lab, prompts_of(["a"], 8)).found
    assert (found.ended, found.judged.tried) == ("evaluations", 300)
    assert set(found.judged.skips) <= set(range(7))


def test_a_known_set_is_beaten_or_kept_however_short_the_search():
    lab = WrittenLab(small_shape(7), {"a": [0.02] * 7 + [0.3] * 7}, plain_costs(7))
    known = SkipSet(14, 0b1111111)
    brief = OfflineConfig(search="exhaustive", evaluations=1, seconds=60.0)
    found = Oracle(brief, starts=(known,)).calibrate(lab, prompts_of(["a"], 8)).found
    assert found.judged.skips == known


@pytest.mark.slow
def test_the_oracle_finds_the_planted_set_is_saved_and_keeps_tokens(tmp_path):
    prompts = planted_prompts(each=3)
    oracle = Oracle().calibrate(planted_lab("llama", new_tokens=6), prompts)
    assert oracle.found.judged.tried == 4**LAYERS
    assert oracle.found.judged.skips == PLANTED
    oracle.save(tmp_path / "kept")
    loaded = Oracle.load(tmp_path / "kept")
    assert loaded == oracle
    assert keeps_tokens(planted_executor("llama"), loaded, prompts[:1])


def test_an_oracle_is_not_taken_for_another_strategy(tmp_path):
    lab = WrittenLab(small_shape(3), {"a": [0.1] * 6}, plain_costs(3))
    Oracle().calibrate(lab, prompts_of(["a"], 4)).save(tmp_path / "kept")
    with pytest.raises(ArtefactError, match="oracle"):
        StaticBO.load(tmp_path / "kept")


def test_preset_faithful_searches_by_the_clock():
    oracle = strategy_from("oracle", small_shape(3), "faithful", {"evaluations": "40"})
    assert (oracle.config.objective, oracle.config.search) == ("clock", "exhaustive")
    lab = WrittenLab(small_shape(3), {"a": [0.3, 0.02, 0.4, 0.01, 0.25, 0.05]}, plain_costs(3))
    found = oracle.calibrate(lab, prompts_of(["a"], 8)).found
    assert found.judged.tried == 40
