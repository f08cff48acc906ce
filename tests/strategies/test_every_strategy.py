"""What holds for every registered strategy in every preset."""

from dataclasses import replace
from functools import cache
from itertools import cycle

import pytest
import torch
from doubles.every_strategy import (
    CALIBRATED,
    FIXED,
    LAYERS,
    VARIANTS,
    configured,
    executor_of,
    ready,
)
from doubles.strategies_worlds import tokens_and_drafted

from specframe.contract.naming import strategy_from
from specframe.contract.options import settable
from specframe.contract.registry import strategy_class, strategy_names
from specframe.core.engine import Engine, Limits
from specframe.core.sampling import Law
from specframe.errors import CalibrationMismatch, InvalidConfig, InvalidRequest
from specframe.executors.load import load_executor
from specframe.strategies.autoregressive import Autoregressive
from specframe.testing import planted_llama
from specframe.testing.selector_checks import check_selector
from specframe.types import ModelShape, SkipSet

SHAPE = ModelShape(LAYERS, 16, 31, 2, 1, 8, 24, 256)
CONFIGURED = [v for v in VARIANTS if strategy_class(v.split(":")[0]).presets]


def repeats_best(variant):
    """Whether the preset is another name for `best`."""
    name, preset = variant.split(":")
    presets = strategy_class(name).presets
    return preset != "best" and presets[preset] == presets["best"]


DISTINCT = [v for v in VARIANTS if not repeats_best(v)]
OUT_OF_RANGE = {
    "admg:best": "rows=0",
    "admg:faithful": "target=2",
    "auto:best": "block=0 share=-1",
    "cas:best": "shares=1 shortest=0",
    "cas:faithful": "shares=0 floor=2 step=0",
    "cascade:best": "of=knapspec,fixed copied=0",
    "clasp:faithful": "share=1.5",
    "conflayers:best": "most_skipped=0 finalists=0",
    "conflayers:faithful": "ratio=1 window=0 draft=0",
    "del:best": "exits=2,1 exits=4 memory=0 longest=0",
    "draft-model:best": "longest=0 memory=0",
    "kangaroo:best": "stop=never layers=4 longest=0 rate=0",
    "knap-knn:best": "boundary=0",
    "knapspec:best": "rows=0 widest=1",
    "knn-ssd:best": "pooling=max metric=x kind=x neighbours=0 margin=2 index=tree",
    "layerskip:best": "sweep=hope draft=0 exit=4 seconds=-1",
    "low-bit:best": "bits=3 longest=0 memory=2",
    "prompt-lookup:best": "longest=0 copied=0 prior=0",
    "random-skip:best": "share=1 stop=never longest=0",
    "specbound:best": "spread=0 annealing=-1",
    "specbound:faithful": "confidence=2 deepest=0 spread=0 longest=0",
    "static-bo:best": "search=grid objective=hope evaluations=0 stop=x",
    "suffix:best": "depth=1 copied=0 factor=0 floor=2 cached=-1 prior=0",
    "swift:faithful": "ratio=1",
}
# the same planner as another strategy's, with other settings
ALIKE = ("layerskip:faithful", "oracle:", "uniform-skip:")
FAMILIES = ("gpt2", "gemma2", "phi")


def heavy(variant):
    """Variants without a planner of their own, and calibrated ones unless in preset `best`."""
    calibrated = variant in CALIBRATED and not variant.endswith(":best")
    return calibrated or variant.startswith(ALIKE)


def faithful(variant):
    return variant.endswith(":faithful")


def fast(*given, when=True):
    """A case of a variant that is in the fast tests unless the variant is heavy."""
    slow = heavy(given[0]) or not when
    return pytest.param(*given, marks=pytest.mark.slow if slow else [])


OTHERS = [  # in the fast tests each variant meets one family
    fast(variant, family, when=family == own)
    for variant, own in zip(DISTINCT, cycle(FAMILIES))
    for family in FAMILIES
]


@pytest.mark.parametrize("variant", [fast(v, when=not faithful(v)) for v in DISTINCT])
def test_check_selector_finds_nothing(variant):
    check_selector(ready(variant), LAYERS)


def greedy(executor, strategy, count=16):
    tokens = []
    for done in Engine(executor, strategy, Law(), Limits(60)).rounds([3, 1, 4, 1, 5, 9, 2, 6]):
        tokens += done.tokens
        if len(tokens) >= count:
            break
    return tokens[:count]


@cache
def own_tokens(family):
    return greedy(executor_of(family), Autoregressive())


@pytest.mark.parametrize(("variant", "family"), OTHERS)
def test_other_architectures_keep_their_tokens(variant, family):
    assert greedy(executor_of(family), ready(variant, family)) == own_tokens(family)


ONLINE = ("admg", "cas", "clasp", "conflayers", "del", "knapspec", "specbound", "swift")


@cache
def planted():
    """Its second, third and fifth layer add nothing."""
    silent = SkipSet.of(6, attention=[1, 2, 4], mlp=[1, 2, 4])
    shape = ModelShape(6, 32, 61, 4, 2, 8, 48, 256)
    return planted_llama(shape, dict.fromkeys(silent, 0.0), dtype=torch.float64)


@cache
def planted_tokens(count):
    return tokens_and_drafted(planted(), "autoregressive", count)[0]


@pytest.mark.parametrize(
    "variant", [fast(v, when=not faithful(v)) for v in VARIANTS if v.split(":")[0] in ONLINE]
)
def test_drafts_where_drafting_pays_and_keeps_the_tokens(variant):
    long = 80  # enough tokens that planning may pay for itself
    strategy = configured(variant, load_executor(planted()))
    found, drafted = tokens_and_drafted(planted(), strategy, long)
    assert found == planted_tokens(long)
    assert drafted > 20


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
def test_the_preset_is_best_unless_another_is_named(name):
    given = FIXED if name == "fixed" else {}
    assert strategy_from(name, SHAPE, options=given) == strategy_from(name, SHAPE, "best", given)


@pytest.mark.parametrize(
    ("variant", "setting"),
    [(variant, given) for variant, settings in OUT_OF_RANGE.items() for given in settings.split()],
)
def test_a_setting_out_of_range_is_refused_by_name(variant, setting):
    name, preset = variant.split(":")
    option, _, value = setting.partition("=")
    with pytest.raises(InvalidConfig, match=rf"(?i)\b{option}\b"):
        strategy_from(name, SHAPE, preset, {option: value})


@pytest.mark.parametrize(
    "name", [name for name in strategy_names() if strategy_class(name).presets]
)
def test_an_unknown_preset_is_refused_by_name(name):
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
    assert greedy(executor_of("scene"), loaded) == own_tokens("scene")


@pytest.mark.parametrize("variant", CALIBRATED)
def test_without_a_calibration_the_error_names_the_command(variant, tmp_path):
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
