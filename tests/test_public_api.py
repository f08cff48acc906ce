"""Public names and signatures are those of a list.

`python tests/test_public_api.py` updates the list; describe the difference in the change log.
"""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import specframe

ROOT = Path(__file__).parent.parent
LISTED = ROOT / "tests" / "public_api.txt"
REFERENCE = ROOT / "docs" / "reference"
SHOWN = re.compile(r"^::: (specframe[\w.]*)$", re.MULTILINE)
TAKEN = re.compile(r"^from (specframe[\w.]*) import", re.MULTILINE)
ADDRESS = re.compile(r"0x[0-9a-f]+")  # of default values
ALSO = {"specframe.strategies.fixed"}  # a strategy that users create themselves


def documented_modules() -> list[str]:
    pages = "".join(path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md"))
    return sorted(set(SHOWN.findall(pages)))


def public_api() -> list[str]:
    lines = [f"specframe.{name}" for name in specframe.__all__]  # their signatures are listed below
    for name in documented_modules():
        module = import_module(name)
        lines += [f"{name}.{line}" for public in names(module) for line in written(module, public)]
    return lines


def names(module: ModuleType) -> list[str]:
    return sorted(module.__all__)


def written(module: ModuleType, name: str) -> Iterator[str]:
    value = getattr(module, name)
    if not callable(value):
        yield name
        return
    yield f"{name}{signature(value)}"
    if inspect.isclass(value):
        for member, found in sorted(vars(value).items()):
            if member.startswith("_"):
                continue
            function = inspect.unwrap(getattr(found, "__func__", found))
            shown = signature(function) if inspect.isfunction(function) else ""
            yield f"{name}.{member}{shown}"


def signature(value: object) -> str:
    try:
        return ADDRESS.sub("0x", str(inspect.signature(value)))
    except (TypeError, ValueError):
        return ""


def test_names_and_signatures_are_those_that_are_listed():
    assert public_api() == LISTED.read_text(encoding="utf-8").splitlines(), (
        "the public API has changed: if this is intended, run `python tests/test_public_api.py` "
        "and describe it in CHANGELOG.md"
    )


def test_every_name_of_the_front_door_is_listed_at_its_home():
    homes = {line.split("(")[0].rsplit(".", 1)[1] for line in public_api() if "." in line[10:]}
    assert set(specframe.__all__) <= homes


def test_what_the_documents_import_is_documented():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    known = {"specframe", *documented_modules(), *ALSO}
    strange = {
        f"{page.name}: {module}"
        for page in pages
        for module in TAKEN.findall(page.read_text(encoding="utf-8"))
        if module not in known
    }
    assert strange == set()


if __name__ == "__main__":
    LISTED.write_text("\n".join(public_api()) + "\n", encoding="utf-8")
