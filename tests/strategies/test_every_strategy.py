"""What holds for every registered strategy in every preset, whatever it decides."""

from dataclasses import replace

import pytest
from doubles.every_strategy import LAYERS, VARIANTS, configured, executor_of, ready

from specframe.contract.naming import strategy_from
from specframe.contract.options import settable
from specframe.contract.registry import strategy_class, strategy_names
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.errors import CalibrationMismatch, InvalidConfig, InvalidRequest
from specframe.strategies.autoregressive import Autoregressive
from specframe.testing.selector_checks import selector_checks
from specframe.types import ModelShape, SkipSet

CHECKS = [name for name, _ in selector_checks(Autoregressive(), LAYERS)]
SHAPE = ModelShape(LAYERS, 16, 31, 2, 1, 8, 24, 256)
CALIBRATED = [v for v in VARIANTS if strategy_class(v.split(":")[0]).traits.calibrated]
CONFIGURED = [v for v in VARIANTS if strategy_class(v.split(":")[0]).presets]
FAMILIES = ("gpt2", "gemma2")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_check_selector(variant, check):
    dict(selector_checks(ready(variant), LAYERS))[check]()


def greedy(executor, strategy, count=24):
    tokens = []
    for done in Engine(executor, strategy, Law(), Limits(60)).rounds([3, 1, 4, 1, 5, 9, 2, 6]):
        tokens += done.tokens
        if len(tokens) >= count:
            break
    return tokens[:count]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_architectures_keep_their_tokens(variant, family):
    executor = executor_of(family)
    assert greedy(executor, ready(variant, family)) == greedy(executor, Autoregressive())


@pytest.mark.parametrize("variant", CONFIGURED)
def test_every_setting_can_be_given_in_text(variant):
    name, preset = variant.split(":")
    config = strategy_class(name).presets[preset]
    given = {
        field: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for field, value in settable(config).items()
    }
    assert strategy_from(name, SHAPE, preset, given) == strategy_from(name, SHAPE, preset)


@pytest.mark.parametrize("name", strategy_names())
def test_what_text_cannot_mean_is_refused_by_name(name):
    with pytest.raises(InvalidConfig, match=r"unheard_of"):
        strategy_from(name, SHAPE, options={"unheard_of": "1"})
    if strategy_class(name).presets:
        with pytest.raises(InvalidConfig, match=r"'bold'|\"bold\""):
            strategy_from(name, SHAPE, "bold")


@pytest.mark.parametrize("variant", CALIBRATED)
def test_a_calibration_is_saved_and_loaded(variant, tmp_path):
    strategy = ready(variant)
    strategy.save(tmp_path / "kept")
    loaded = strategy_from(str(tmp_path / "kept"), executor_of("scene").shape)
    assert type(loaded) is type(strategy)
    assert loaded.config == strategy.config
    assert loaded.skip_sets() == strategy.skip_sets()
    assert loaded.notes() == strategy.notes()
    executor = executor_of("scene")
    assert greedy(executor, loaded) == greedy(executor, strategy)


@pytest.mark.parametrize("variant", CALIBRATED)
def test_without_a_calibration_it_says_what_to_run(variant, tmp_path):
    strategy = configured(variant, executor_of("scene"))
    with pytest.raises(InvalidRequest, match=f"specframe calibrate {variant.split(':')[0]}"):
        strategy.start(executor_of("scene").shape)
    with pytest.raises(InvalidRequest, match="specframe calibrate"):
        strategy.save(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("variant", CALIBRATED)
def test_a_calibration_of_another_model_is_refused(variant):
    other = replace(executor_of("scene").shape, layers=LAYERS + 1)
    with pytest.raises(CalibrationMismatch, match="specframe calibrate"):
        ready(variant).start(other)


@pytest.mark.parametrize("variant", CALIBRATED)
def test_skip_sets_cover_the_model(variant):
    for found in ready(variant).skip_sets().values():
        assert isinstance(found.skips, SkipSet)
        assert found.skips.size == 2 * LAYERS
        assert 0.0 <= found.acceptance.low <= found.acceptance.value <= found.acceptance.high <= 1.0
