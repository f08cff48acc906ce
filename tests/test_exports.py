"""What `specframe.strategies` and `specframe.profilers` export by name."""

import subprocess
import sys
from importlib import import_module

import pytest

from specframe import profilers, strategies
from specframe.contract.registry import strategy_class, strategy_names


def registered():
    """Classes of the strategies that come with the package."""
    classes = [strategy_class(name) for name in strategy_names()]
    return {one for one in classes if one.__module__.startswith("specframe.strategies.")}


def test_the_exported_strategies_are_those_that_are_registered():
    exported = {getattr(strategies, name) for name in strategies.__all__}
    assert exported == registered()
    assert {one.__name__ for one in exported} == set(strategies.__all__)


@pytest.mark.parametrize("package", [strategies, profilers])
def test_every_exported_name_is_the_one_of_its_module(package):
    for name, home in package._HOMES.items():
        module = import_module(f"{package.__name__}.{home}")
        assert getattr(package, name) is getattr(module, name)
        assert name in module.__all__
    assert set(package.__all__) == set(package._HOMES)


@pytest.mark.parametrize("package", [strategies, profilers])
def test_an_unknown_name_is_refused(package):
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


def test_importing_the_packages_loads_none_of_their_modules():
    code = (
        "import sys, specframe.strategies, specframe.profilers; "
        "print([m for m in sys.modules if m.startswith(('specframe.st', 'specframe.pr'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['specframe.strategies', 'specframe.profilers']"
