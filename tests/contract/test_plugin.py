"""A third-party strategy in its own package, installed by entry point; and the tutorial's."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from specframe import DraftPlan, LayerSelector, SkipSet, StopRule, Traits
from specframe.contract import naming
from specframe.contract.constant_plan import ConstantPlanner
from specframe.contract.naming import strategy_from
from specframe.errors import InvalidConfig
from specframe.types import ModelShape

SHAPE = ModelShape(4, 16, 32, 2, 1, 8, 24, 64)
HERE = Path(__file__).parents[1]
SAMPLE = HERE / "plugin_sample"
TUTORIAL = HERE.parent / "docs" / "tutorials" / "your-own-strategy.md"

USE = """
import specframe
from specframe.contract.registry import strategy_class, strategy_names
from specframe.contract.naming import strategy_from
from specframe.testing import check_selector
from specframe.testing.scene import StrategyScene

assert "every-other" in strategy_names()
shape = StrategyScene(6).shape
check_selector(strategy_from("every-other", shape, "best", {"longest": "4"}), layers=6)
check_selector(strategy_from("cascade", shape, "best", {"of": "every-other"}), layers=6)
check_selector(strategy_from("auto", shape, "best", {"of": "every-other,cascade"}), layers=6)
"""


@pytest.mark.slow
def test_a_package_of_its_own_is_found_by_entry_point_and_keeps_the_contract(tmp_path):
    source, target = tmp_path / "source", tmp_path / "site"
    shutil.copytree(SAMPLE, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(target)}
    command = [sys.executable, "-c", USE]
    used = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert used.returncode == 0, used.stderr
    listed = subprocess.run(
        [sys.executable, "-c", "from specframe.commands.cli import main; main()", "ls"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "every-other" in listed.stdout, listed.stderr


def test_the_tutorials_strategy_fits_in_forty_lines():
    (fence,) = re.findall(r"^```python\n(.*?)^```", TUTORIAL.read_text(), re.M | re.S)
    assert "class EveryOther(LayerSelector):" in fence
    assert len(fence.splitlines()) <= 40  # that it runs is for the test of all pages


def test_the_tutorials_strategy_is_the_packages():
    """Both skip the same layers and have equal plans."""
    text, module = TUTORIAL.read_text(), (SAMPLE / "every_other.py").read_text()
    for line in ("range(1, shape.layers - 1, 2)", "StopRule(self._length, confidence=0.4)"):
        assert line in text
        assert line in module


@dataclass(frozen=True)
class Plain(LayerSelector):
    """A class that is registered without presets and settings."""

    traits = Traits("nothing")

    def start(self, shape):
        return ConstantPlanner(DraftPlan(SkipSet.none(shape.layers), StopRule(0)))


@dataclass(frozen=True)
class Demanding(Plain):
    length: int


def test_a_class_without_presets_is_made_from_its_name_alone(monkeypatch):
    monkeypatch.setattr(naming, "strategy_class", {"plain": Plain, "more": Demanding}.__getitem__)
    assert strategy_from("plain", SHAPE) == Plain()
    with pytest.raises(InvalidConfig, match=r"Plain has no settings.*longest"):
        strategy_from("plain", SHAPE, options={"longest": "4"})
    with pytest.raises(InvalidConfig, match="Demanding cannot be made from its name"):
        strategy_from("more", SHAPE)


def test_the_error_for_an_old_contract_names_the_new_methods():
    with pytest.raises(InvalidConfig, match=r"Old defines select and spawn.*start\(shape\).*plan"):

        class Old(LayerSelector):
            def select(self, context): ...

            def spawn(self): ...
