"""Strategies that specframe 0.1.0 calibrated and saved still load, and plan what they planned."""

import json
import shutil
from pathlib import Path

import pytest
from doubles.written_lab import context_at, small_shape, vector_of

from specframe.contract.naming import strategy_from
from specframe.errors import ArtefactError

SAVED = Path(__file__).with_name("saved_by_0_1")  # of models of three layers
SHAPE = small_shape(3)
# bits of the skip set and the price of the stop rule, as 0.1.0 planned them
PLANS = {
    "static-bo": (0x1A, 0.538462),
    "oracle": (0x0A, 0.692308),
    "knn-ssd": (0x0A, 0.692308),
    "knap-knn": (0x0A, 0.692308),
    "layerskip": (0x3C, 0.384615),
    "kangaroo": (0x3C, 0.538462),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_saved_strategy_loads_and_plans_as_before(name):
    strategy = strategy_from(str(SAVED / name), SHAPE)
    states = {6: vector_of((0, 99, 7))[None]}
    plan = strategy.start(SHAPE).plan(context_at(SHAPE, prompt_states=states))
    bits, price = PLANS[name]
    assert plan.skips.bits == bits
    assert plan.stop.max_tokens == 12
    assert plan.stop.gain.price == pytest.approx(price, abs=1e-6)
    assert plan.headed == (name == "kangaroo")


@pytest.mark.parametrize("name", PLANS)
def test_a_saved_strategy_with_an_unknown_setting_is_refused_with_the_remedy(name, tmp_path):
    shutil.copytree(SAVED / name, tmp_path / name)
    path = tmp_path / name / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["value"]["config"]["colour"] = "blue"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=rf"colour.*specframe calibrate {name}"):
        strategy_from(str(tmp_path / name), SHAPE)
