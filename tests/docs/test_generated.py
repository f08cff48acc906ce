"""What the documentation says of commands, errors, settings and modules is what there is."""

import ast
import re
from dataclasses import fields
from inspect import cleandoc
from pathlib import Path

import pages
import pytest

import specframe.errors as error_tree
from specframe.bench.settings import KEYS, BenchSettings
from specframe.contract.registry import strategy_names

ROOT = Path(__file__).parents[2]
FOLDERS = ("specframe", "strategies", "profilers")


def test_generated_parts_are_current():
    stale = [
        str(path.relative_to(ROOT))
        for path, text in pages.generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `python scripts/pages.py`"


def test_a_part_that_is_not_current_is_noticed():
    page = "# Errors\n\n<!-- generated: errors -->\nold\n<!-- end of errors -->\n\nBy hand.\n"
    new = pages.filled(page)
    assert "UnknownStrategy" in new
    assert new.startswith("# Errors\n")
    assert new.endswith("\nBy hand.\n")
    assert pages.filled(new) == new


def test_the_settings_of_selectors_are_found():
    shown = set(re.findall(r"^### (.+)$", pages.reference.settings(), re.MULTILINE))
    assert set(strategy_names()) - shown <= {"autoregressive"}


def test_every_generated_part_is_on_a_page():
    written = "".join(path.read_text(encoding="utf-8") for path in pages.DOCS.rglob("*.md"))
    assert {name for name, _ in pages.PART.findall(written)} == set(pages.PARTS)


@pytest.mark.parametrize("name", error_tree.__all__)
def test_every_error_says_when_it_is_raised_and_what_to_do(name):
    kind = getattr(error_tree, name)
    if kind is error_tree.SpecframeError:
        return
    when, _, remedy = cleandoc(kind.__doc__).partition("Remedy:")
    assert when.strip()
    assert remedy.strip()


def test_every_error_is_in_the_tree():
    known = set(error_tree.__all__)
    strays = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if path != ROOT / "specframe" / "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in known for base in node.bases)
    ]
    assert strays == []
    assert all(
        f"{name} " in error_tree.__doc__ or f"{name}\n" in error_tree.__doc__ for name in known
    )


def test_every_key_of_a_grid_has_a_sentence():
    assert list(KEYS) == [field.name for field in fields(BenchSettings)]
