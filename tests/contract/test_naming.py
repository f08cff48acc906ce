"""Strategies by name, class or folder, with presets and settings in text."""

import pytest

from specframe.contract.naming import read_named, strategy_from
from specframe.errors import ArtefactError, InvalidConfig
from specframe.strategies.fixed import FixedSkips
from specframe.types import ModelShape, SkipSet

LAYERS = 4
SHAPE = ModelShape(LAYERS, 16, 31, 2, 1, 8, 24, 256)


def test_a_list_names_presets_and_settings():
    assert read_named("swift") == read_named("swift:best")
    found = read_named("swift:faithful+window=8+draft_stop=confidence:5:0.5")
    assert (found.name, found.preset) == ("swift", "faithful")
    assert read_named("swift:fathful").preset == "fathful"  # for the strategy to refuse
    assert read_named("swft:faithful").name == "swft"
    assert found.options == {"window": "8", "draft_stop": "confidence:5:0.5"}


CLASS = "specframe.strategies.fixed:FixedSkips"


@pytest.mark.parametrize(
    ("text", "name", "preset"),
    [
        (CLASS, CLASS, "best"),
        (f"{CLASS}:faithful", CLASS, "faithful"),
        ("every_other:EveryOther", "every_other:EveryOther", "best"),
    ],
)
def test_a_list_names_classes_that_are_not_registered(text, name, preset):
    found = read_named(f"{text}+mlp=2")
    assert (found.name, found.preset, found.options) == (name, preset, {"mlp": "2"})


def test_a_class_that_is_not_registered_is_configured_as_one_that_is():
    named = read_named(f"{CLASS}+mlp=2")
    found = strategy_from(named.name, SHAPE, named.preset, named.options)
    assert found == FixedSkips(SkipSet.of(LAYERS, mlp=[2]))


@pytest.mark.parametrize("content", ["[1]", "{}", '{"kind": 3}', "{"])
def test_a_folder_whose_manifest_names_no_strategy_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ArtefactError, match="Name a folder that `specframe calibrate` wrote"):
        strategy_from(str(tmp_path), SHAPE)


@pytest.mark.parametrize("name", ["fixed", "swift", "layerskip", "del", "cascade"])
@pytest.mark.parametrize("setting", ["preset", "shape", "parts", "cls"])
def test_a_setting_named_like_an_argument_is_unknown(name, setting):
    with pytest.raises(InvalidConfig, match=f"no parameter '{setting}'"):
        strategy_from(name, SHAPE, options={setting: "faithful"})
