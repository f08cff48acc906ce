"""A comparison fits 4-bit weights to the model's inputs once, if that is quick and useful."""

from types import SimpleNamespace

import pytest

from specframe.bench import rounding
from specframe.bench.rounding import FEWEST, round_if_quick
from specframe.types import Prompt

PROMPTS = [Prompt((1, 2, 3, i)) for i in range(FEWEST)]


class Rig:
    """A rig that counts how often its weights are fitted."""

    name, model = "here", None

    def __init__(self, kept=True, widths=(4, 8), facts=("measured",)):
        self.costs = SimpleNamespace(facts=facts, quicker_widths=lambda n: widths)
        self.kept, self.rounded = kept, 0

    def fit_rounding(self, prompts):
        self.rounded += 1
        return SimpleNamespace(kept=self.kept)


@pytest.fixture
def world(monkeypatch):
    """Weights of 100 MB that were not fitted yet."""
    found = SimpleNamespace(bytes=100_000_000, kept=False)
    monkeypatch.setattr(rounding, "weight_bytes", lambda model: found.bytes)
    monkeypatch.setattr(rounding, "has_rounding", lambda model: found.kept)
    return found


@pytest.mark.parametrize(("kept", "told"), [(True, "inputs"), (False, "nearest")])
def test_weights_are_fitted_and_this_is_printed(world, kept, told):
    rig, said = Rig(kept), []
    assert round_if_quick(rig, PROMPTS, said.append) == told
    assert rig.rounded == 1
    assert "once per model" in said[0]


def test_weights_are_not_fitted_twice(world):
    world.kept, rig = True, Rig()
    assert round_if_quick(rig, PROMPTS, print) == "inputs"
    assert not rig.rounded


@pytest.mark.parametrize(
    ("rig", "prompts"),
    [
        (Rig(widths=(8,)), PROMPTS),
        (Rig(facts=()), PROMPTS),
        (Rig(), PROMPTS[1:]),
    ],
    ids=["4 bits are slower", "prices were not measured", "few prompts"],
)
def test_weights_are_not_fitted_if_that_gains_nothing(world, rig, prompts):
    assert round_if_quick(rig, prompts, print) == "nearest"
    assert not rig.rounded


def test_a_large_model_needs_its_own_command(world):
    world.bytes, rig, said = 2_000_000_000, Rig(), []
    assert round_if_quick(rig, PROMPTS, said.append) == "nearest"
    assert not rig.rounded
    assert "specframe round --model here" in said[0]
