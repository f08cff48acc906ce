"""Presets and TOML grids."""

import pytest

from specframe.bench.settings import PRESETS, BenchSettings, settings_from_toml
from specframe.errors import InvalidConfig, InvalidRequest


def test_a_file_changes_the_preset_it_starts_from(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        '[grid]\nstrategies = ["knapspec"]\ncontexts = [0, 512]\ncalibration_seconds = 5\n'
    )
    grid = settings_from_toml(path, PRESETS["quick"])
    assert grid.strategies == ("knapspec",)
    assert grid.contexts == (0, 512)
    assert grid.calibration_seconds == 5.0
    assert grid.repeats == PRESETS["quick"].repeats


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("strategy = ['x']", InvalidConfig, "no key 'strategy'"),
        ("repeats = 'two'", InvalidConfig, "of type int"),
        ("repeats = 0", InvalidConfig, r"in \[1, 1000\]"),
        ("contexts = []", InvalidConfig, "contexts"),
        ("temperatures = [-1.0]", InvalidConfig, "temperatures"),
        ("[grid", InvalidRequest, "not TOML"),
    ],
)
def test_a_wrong_grid_is_refused_by_name(tmp_path, text, error, match):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    with pytest.raises(error, match=match):
        settings_from_toml(path, BenchSettings())


def test_a_missing_grid_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="cannot be read"):
        settings_from_toml(tmp_path / "none.toml", BenchSettings())


def test_the_old_name_of_the_strategies_is_read_and_written(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('selectors = ["swift"]\n')
    settings = settings_from_toml(path, BenchSettings())
    assert settings.strategies == ("swift",)
    assert settings.as_config()["selectors"] == ["swift"]
    assert "strategies" not in settings.as_config()
    path.write_text('selectors = ["swift"]\nstrategies = ["clasp"]\n')
    with pytest.raises(InvalidConfig, match="twice"):
        settings_from_toml(path, BenchSettings())
