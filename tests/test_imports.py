"""The import arrows: each module has a level, and imports point down or sideways, never up."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# from the bottom up; a module belongs to its longest matching prefix, and one without is an error
LAYERS = (
    ("errors",),
    ("types", "tensors"),
    (
        "storage",
        "scheduling",
        "fetching",
        "costs.tables",
        "contract.options",
        "contract.pooling",
        "core.sampling",
    ),
    ("prompts.chat", "prompts.lines", "core.verify", "costs", "costs.rates"),
    ("contract",),
    ("core.states", "core.head", "core.exits", "executors"),
    ("core.probe", "core.draft", "core.target"),
    ("core",),
    ("core.stats", "core.divergence"),
    ("profilers",),
    ("costs.rounds", "costs.check", "costs.measure", "calibration"),
    ("contract.drafting_options", "contract.naming"),
    ("testing",),
    ("doors", "testbed"),
    ("rig",),
    ("remote_rig",),
    ("calibration.run", "calibration.shared_lab"),
    ("",),  # the front door itself: `import specframe`
    ("prompts",),
    ("prediction",),
    ("bench",),
    ("studies",),
    ("commands", "__main__"),
)
LEVELS = {
    f"specframe.{name}".rstrip("."): level for level, names in enumerate(LAYERS) for name in names
}
LEVELS["specframe.strategies"] = LEVELS["specframe.commands"]
# the highest level of specframe that the modules of a plug-in folder may import
CEILINGS = {
    "specframe.strategies": LEVELS["specframe.contract"],
    "specframe.profilers": LEVELS["specframe.executors"],
}
BARE = {"strategies", "profilers"}
SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Arrow:
    source: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def python_files() -> dict[str, Path]:
    """Module name -> file, with the plug-in folders under their one spelling."""
    found = {}
    for folder, prefix in (
        ("specframe", ""),
        ("strategies", "specframe."),
        ("profilers", "specframe."),
    ):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            if folder == "specframe" and parts[1:2] and parts[1] in BARE:
                continue  # reached through a symlink: counted once, at its real place
            if parts[-1] == "__init__":
                parts.pop()
            found[prefix + ".".join(parts)] = path
    return found


def part_of(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def prefix_of(module: str) -> str | None:
    matches = [name for name in LEVELS if part_of(module, name)]
    if not matches:
        return None
    longest = max(matches, key=len)
    # the front door's level is its own: it must not swallow unknown submodules
    return None if longest == "specframe" and module != "specframe" else longest


def absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def raw_imports(
    source: str, module: str, is_package: bool
) -> Iterator[tuple[str, str | None, int]]:
    """Yields (module, imported name or None, line)."""
    for node in ast.walk(ast.parse(source, filename=module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield absolute(node, module, is_package), alias.name, node.lineno


def front_door(source: str) -> dict[str, str]:
    """Public name -> the module that `specframe/__init__.py` takes it from."""
    return {
        name: module
        for module, name, _ in raw_imports(source, "specframe", is_package=True)
        if name is not None and part_of(module, "specframe")
    }


def arrows(
    module: str, source: str, is_package: bool, known: set[str], door: dict[str, str]
) -> list[Arrow]:
    found = []
    for target, name, line in raw_imports(source, module, is_package):
        if name is not None and f"{target}.{name}" in known:
            target = f"{target}.{name}"
        elif target == "specframe" and module != "specframe" and name in door:
            target = door[name]
        if part_of(target, "specframe") or target.split(".")[0] in BARE:
            found.append(Arrow(module, target, line))
    return found


def complaint(arrow: Arrow) -> str | None:
    if arrow.target.split(".")[0] in BARE:
        return f"{arrow}: write specframe.{arrow.target}"
    source, target = prefix_of(arrow.source), prefix_of(arrow.target)
    if source is None or target is None:
        missing = arrow.source if source is None else arrow.target
        return f"{arrow}: give {missing} a level in this test's table"
    if source == target:
        return _between_methods(arrow) if source == "specframe.strategies" else None
    if target == "specframe.strategies":
        return f"{arrow}: strategies are reached by name, through the registry"
    ceiling = CEILINGS.get(source, LEVELS[source])
    if LEVELS[target] > ceiling:
        return f"{arrow}: level {LEVELS[target]} is above {ceiling}, the highest it may import"
    return None


def method_of(module: str) -> str:
    """The file or folder of strategies that a module belongs to."""
    return module.removeprefix("specframe.strategies").lstrip(".").partition(".")[0]


def _between_methods(arrow: Arrow) -> str | None:
    """A method imports what is shared and itself; what is shared imports no method."""
    source, target = method_of(arrow.source), method_of(arrow.target)
    if not source or target in ("", source, SHARED):
        return None  # the package itself only names its classes
    return f"{arrow}: move what both need into strategies/{SHARED}/"


@cache
def every_arrow() -> list[Arrow]:
    files = python_files()
    texts = {module: path.read_text(encoding="utf-8") for module, path in files.items()}
    door = front_door(texts.get("specframe", ""))
    return [
        arrow
        for module, text in texts.items()
        for arrow in arrows(module, text, files[module].name == "__init__.py", set(files), door)
    ]


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if cycle := visit(target, [*path, module]):
                return cycle
        done.add(module)
        return []

    return next((cycle for module in sorted(edges) if (cycle := visit(module, []))), [])


def test_every_module_has_a_level():
    assert [module for module in python_files() if prefix_of(module) is None] == []


def test_no_import_points_up():
    assert [text for arrow in every_arrow() if (text := complaint(arrow))] == []


def test_modules_do_not_import_each_other_in_a_circle():
    edges: dict[str, set[str]] = {}
    for arrow in every_arrow():
        if arrow.source != arrow.target:
            edges.setdefault(arrow.source, set()).add(arrow.target)
    assert find_cycle(edges) == []


def test_the_plug_in_folders_are_read_under_one_name():
    modules = python_files()
    assert {"specframe.strategies", "specframe.profilers"} <= set(modules)
    assert len(set(modules.values())) == len({path.resolve() for path in modules.values()})


@pytest.mark.parametrize(
    ("module", "statement", "reason"),
    [
        ("specframe.types", "from specframe.core.engine import Engine", "is above"),
        ("specframe.core.verify", "import specframe.executors", "is above"),
        (
            "specframe.core.engine",
            "def f():\n    from specframe.calibration import lab",
            "is above",
        ),
        ("specframe.core.draft", "from specframe.doors import speculator", "is above"),
        ("specframe.core.engine", "from specframe import profilers", "is above"),
        ("specframe.core.engine", "from specframe.strategies.fixed import FixedSkips", "registry"),
        ("specframe.bench.run", "from specframe.strategies import fixed", "registry"),
        ("specframe.strategies.new", "from specframe.executors import fused", "is above"),
        ("specframe.strategies.new", "from specframe.doors import speculator", "is above"),
        ("specframe.strategies.new", "from specframe import profilers", "is above"),
        ("specframe.profilers.new", "from specframe.core import engine", "is above"),
        ("specframe.strategies.new", "from specframe import Front", "is above"),
        ("specframe.calibration.lab", "from profilers import latency", "write specframe.profilers"),
        ("tests.anything", "import strategies.fixed", "write specframe.strategies"),
        ("specframe.errors", "import specframe.nowhere", "a level"),
        ("specframe.strategies.new", "from specframe.strategies import fixed", "move what both"),
        ("specframe.strategies.new", "from .fixed import FixedSkips", "move what both"),
        ("specframe.strategies.shared.x", "from specframe.strategies import fixed", "move what"),
    ],
)
def test_an_upward_import_is_detected(module, statement, reason):
    known = {
        "specframe.calibration.lab",
        "specframe.doors.speculator",
        "specframe.core.engine",
        "specframe.executors",
    }
    known |= {"specframe.profilers", "specframe.strategies", "specframe.strategies.fixed"}
    door = front_door(
        "from specframe.doors.speculator import Front\nfrom specframe.types import SkipSet"
    )
    found = arrows(module, statement, False, known, door)
    assert [text for arrow in found if reason in (text := complaint(arrow) or "")] != []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("specframe.core.engine", "from specframe.types import SkipSet"),
        ("specframe.strategies.new", "from specframe import SkipSet"),
        ("specframe.strategies.new", "from specframe.strategies.shared import ngrams"),
        ("specframe.strategies.fixed.new", "from specframe.strategies import fixed"),
        ("specframe.profilers.new", "from specframe.executors import fused"),
        ("specframe.calibration.lab", "from specframe.profilers import latency"),
        ("specframe.commands.cli", "from specframe.bench import report"),
        ("specframe.types", "import torch"),
    ],
)
def test_a_downward_import_is_allowed(module, statement):
    known = {
        "specframe.executors.fused.executor",
        "specframe.profilers.latency",
        "specframe.strategies.fixed",
    }
    door = front_door("from specframe.types import SkipSet")
    found = arrows(module, statement, False, known, door)
    assert [text for arrow in found if (text := complaint(arrow))] == []


def test_a_circle_is_detected():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_nothing_else_in_the_repository_imports_the_folders_bare():
    found = []
    for folder in ("tests", "scripts", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if any(re.search(rf"\b(import|from)\s+{name}\b", text) for name in BARE):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found += arrows(module, text, False, set(), {})
    assert [str(arrow) for arrow in found if arrow.target.split(".")[0] in BARE] == []
