"""`import specframe`: the public names, each always the same object."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import specframe

SOURCE = Path(specframe.__file__).read_text(encoding="utf-8")


def typed_homes() -> dict[str, str]:
    """Public name -> module, as type checkers read it."""
    return {
        alias.name: node.module
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("specframe.")
        for alias in node.names
    }


def test_public_names_are_sorted_and_all_typed():
    assert specframe.__all__ == sorted(specframe.__all__)
    assert set(specframe.__all__) == set(typed_homes())


@pytest.mark.parametrize("name", specframe.__all__)
def test_a_name_is_the_same_object_by_every_way_to_it(name):
    home = import_module(typed_homes()[name])  # binds the submodule's name on the package too
    wanted = getattr(home, name)
    assert getattr(specframe, name) is wanted
    assert getattr(specframe, name) is wanted


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'speculate'"):
        specframe.speculate  # noqa: B018


def test_importing_the_package_does_not_import_torch():
    code = "import sys, specframe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
