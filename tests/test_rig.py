"""From a model's name to a calibrated strategy in use."""

import pytest
from doubles.learning import LearnsOneSet, register
from doubles.planted_labs import LAYERS, PLANTED
from doubles.word_tokenizer import Words
from doubles.written_lab import plain_costs

from specframe import Prompt, Rig, SelfSpeculator
from specframe.costs.model import CostModel
from specframe.doors.loading import Loaded
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.knn_ssd import KnnSsd, KnnSsdConfig
from specframe.testing import planted_llama
from specframe.types import ModelShape

SHAPE = ModelShape(LAYERS, 32, 61, 4, 2, 8, 48, 256)
TEXTS = [("a bb ccc dddd", "letters"), ("eeeee ff g", "letters"), ("one two three", "words")]


def planted():
    noise = {i: 0.0 if i in PLANTED else 1.0 for i in range(2 * LAYERS)}
    return planted_llama(SHAPE, noise)


@pytest.fixture
def named(monkeypatch):
    """`here` loads a planted model, whose prices are not measured."""
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(planted(), Words()))
    profile = type("Profile", (), {"costs": plain_costs(LAYERS), "warnings": ("noisy",)})
    measured = []
    monkeypatch.setattr(
        "specframe.rig.measured_profile", lambda *a, **k: measured.append(a) or profile
    )
    return measured


def test_five_lines_calibrate_save_and_use(named, tmp_path, monkeypatch):
    register(monkeypatch)
    rig = Rig.load("here")
    learnt = LearnsOneSet().calibrate(rig.lab(new_tokens=8), rig.prompts(TEXTS))
    learnt.save(tmp_path / "learnt")
    speculator = SelfSpeculator(rig.model, learnt, tokenizer=rig.tokenizer)
    output = speculator.generate("a bb ccc", max_new_tokens=12, do_sample=False)
    assert learnt.found.skips == PLANTED
    assert output.stats.acceptance == 1.0
    assert rig.strategy(str(tmp_path / "learnt")) == learnt


@pytest.mark.slow
def test_the_same_lines_calibrate_a_published_method_on_the_testbed(tmp_path):
    config = KnnSsdConfig(evaluations=6, domain_evaluations=4)
    rig = Rig.load("testbed", costs=CostModel.even(24))
    texts = [(f"{n} + {n} = ", "sums") for n in range(6)]
    texts += [(f"Translate the word {word}.", "words") for word in "abcdef"]
    knn = KnnSsd(config).calibrate(rig.lab(new_tokens=8), rig.prompts(texts))
    knn.save(tmp_path / "knn")
    speculator = SelfSpeculator(rig.model, knn, tokenizer=rig.tokenizer, costs=rig.costs)
    drafted = speculator.generate("7 + 7 = ", max_new_tokens=12, do_sample=False)
    plain = rig.speculator(rig.strategy("autoregressive"))
    expected = plain.generate("7 + 7 = ", max_new_tokens=12, do_sample=False)
    assert drafted.sequences.tolist() == expected.sequences.tolist()
    assert set(knn.skip_sets()) == {"mixed", "sums", "words"}
    assert set(rig.strategy(str(tmp_path / "knn")).skip_sets()) == set(knn.skip_sets())


def test_prompts_are_made_of_texts_or_of_pairs_with_a_domain(named):
    rig = Rig.load("here")
    assert rig.prompts(["a bb"]) == [Prompt((1, 2))]
    assert rig.prompts([("a bb", "x")]) == [Prompt((1, 2), "x")]


def test_a_model_without_a_tokenizer_refuses_texts():
    with pytest.raises(InvalidRequest, match="no tokenizer"):
        Rig.of(planted(), name="here").prompts(["a"])


def test_prices_are_measured_on_first_use_and_once(named):
    rig = Rig.load("here")
    assert named == []
    assert rig.costs == rig.costs == plain_costs(LAYERS)
    assert rig.price_warnings == ("noisy",)
    assert len(named) == 1


def test_given_prices_are_not_measured(named):
    even = CostModel.even(LAYERS)
    rig = Rig.load("here", costs=even)
    assert rig.costs is rig.lab().costs is even
    assert rig.price_warnings == ()
    other = plain_costs(LAYERS, attention=3.0)
    assert rig.priced(other).costs is other
    assert named == []


def test_an_unknown_device_is_refused_before_anything_is_loaded(named, monkeypatch):
    monkeypatch.setattr("specframe.rig.load", lambda name: pytest.fail("it was loaded"))
    with pytest.raises((InvalidRequest, InvalidConfig)):
        Rig.load("here", device="abacus")


def test_speculators_of_a_rig_share_its_low_bit_copies(named):
    rig = Rig.load("here")
    low = rig.strategy("uniform-skip", "faithful", {"draft_bits": "4"})
    one, other = (rig.speculator(low) for _ in range(2))
    outputs = [each.generate("a bb", max_new_tokens=4, do_sample=False) for each in (one, other)]
    made, shared = (output.stats.low_bit_seconds for output in outputs)
    assert made > 0.0
    assert shared == 0.0
    assert one.executor is other.executor is rig.executor


def test_a_speculator_does_not_use_the_rigs_executor_after_a_hook_was_added(named):
    rig = Rig.load("here")
    rig.model.model.layers[0].mlp.register_forward_hook(lambda *given: None)
    speculator = rig.speculator(rig.strategy("autoregressive"))
    assert (rig.executor.name, speculator.executor.name) == ("fused", "module")


@pytest.mark.parametrize(("error", "again"), [(0.3, 0), (0.4, 1)])
def test_wrong_prices_are_measured_again(named, monkeypatch, error, again):
    measured, messages = [], []
    monkeypatch.setattr("specframe.rig.price_error", lambda executor, costs: error)
    monkeypatch.setattr("specframe.rig.measure_profile", lambda *given: measured.append(given))
    rig = Rig.load("here")
    checked = rig.with_checked_prices(messages.append)
    assert len(measured) == len(messages) == again
    assert checked.costs == rig.costs  # the double keeps no profile
    assert len(named) == 1 + again  # looked up again, as another one is kept now
    assert all("by 40%" in text for text in messages)


def test_given_prices_are_not_checked(named, monkeypatch):
    monkeypatch.setattr("specframe.rig.price_error", lambda executor, costs: 9.0)
    rig = Rig.load("here", costs=CostModel.even(LAYERS))
    assert rig.with_checked_prices() is rig
