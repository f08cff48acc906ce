"""A comparison rounds 4-bit weights for the model's inputs once, where that is quick and pays."""

from types import SimpleNamespace

import pytest

from specframe.bench import rounding
from specframe.bench.rounding import FEWEST, round_if_quick
from specframe.types import Prompt

PROMPTS = [Prompt((1, 2, 3, i)) for i in range(FEWEST)]


class Rig:
    """A rig that notes whether its weights were rounded."""

    name, model = "here", None

    def __init__(self, kept=True, widths=(4, 8), facts=("measured",)):
        self.costs = SimpleNamespace(facts=facts, quicker_widths=lambda n: widths)
        self.kept, self.rounded = kept, 0

    def fit_rounding(self, prompts):
        self.rounded += 1
        return SimpleNamespace(kept=self.kept)


@pytest.fixture
def world(monkeypatch):
    """Weights of 100 MB that nobody has rounded."""
    found = SimpleNamespace(bytes=100_000_000, kept=False)
    monkeypatch.setattr(rounding, "weight_bytes", lambda model: found.bytes)
    monkeypatch.setattr(rounding, "has_rounding", lambda model: found.kept)
    return found


@pytest.mark.parametrize(("kept", "told"), [(True, "inputs"), (False, "nearest")])
def test_it_is_done_and_said(world, kept, told):
    rig, said = Rig(kept), []
    assert round_if_quick(rig, PROMPTS, said.append) == told
    assert rig.rounded == 1
    assert "once a model" in said[0]


def test_it_is_not_done_twice(world):
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
def test_where_it_does_not_pay_weights_are_left(world, rig, prompts):
    assert round_if_quick(rig, prompts, print) == "nearest"
    assert not rig.rounded


def test_a_large_model_is_left_to_its_own_command(world):
    world.bytes, rig, said = 2_000_000_000, Rig(), []
    assert round_if_quick(rig, PROMPTS, said.append) == "nearest"
    assert not rig.rounded
    assert "specframe round --model here" in said[0]
