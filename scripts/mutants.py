"""Mutates the files that decide tokens and reports the changes that no test detects.

`make mutants` tests each mutant of cosmic-ray's operators in a separate process: a mutated module
replaces the real one in memory, and the tests in `TARGETS` run until one fails. Results are stored
in `results/mutants.json`, so that a run with a time limit continues where the last one ended. For a
mutant that survives, add a test, or explain it in `tests/living_mutants.txt`.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "results" / "mutants.json"
EXPLAINED = ROOT / "tests" / "living_mutants.txt"
# seconds for one mutant, of CPU and of wall-clock time; a mutant that never ends is caught, too
LONGEST, LATEST = 60, 900.0
POLL = 0.02  # seconds; polls are counted, since a clock also runs while processes are stopped
LIBRARIES = ("scipy.stats", "torch", "transformers")  # loaded by most tests
NEARBY = 4  # number of tests that are run first: those that caught mutants of near lines
# exit codes: no test failed; a named test no longer exists, or all tests are slow
NOTHING_RAN = (0, 4, 5)
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--timeout=0", "--assert=plain"),
    *("-o", "addopts=--import-mode=importlib --strict-markers"),
)
MUST_HOLD = "tests/core/test_mutants.py::test_what_must_hold_holds"
TARGETS = {
    "specframe/core/draft.py": (
        "core/test_draft.py",
        "core/test_copied.py",
        "core/test_head.py",
        "core/test_exits.py",
        "core/test_engine.py",
    ),
    "specframe/core/engine.py": (
        "core/test_engine.py",
        "core/test_copied.py",
        "core/test_head.py",
        "core/test_low_bit.py",
        "core/test_exits.py",
        "core/test_second.py",
        "core/test_ranks.py",
        "core/test_rest.py",
    ),
    "specframe/core/sampling.py": ("core/test_sampling.py", "core/test_law_real_seam.py"),
    "specframe/core/target.py": (
        "core/test_target.py",
        "core/test_engine.py",
        "core/test_head.py",
    ),
    "specframe/core/verify.py": ("core/test_verify.py",),
    "specframe/doors/arguments.py": ("doors", "core/test_law_real_seam.py"),
    "specframe/executors/cache.py": ("executors/test_cache.py", "executors/fused/test_fused.py"),
    "specframe/executors/fused/attention.py": ("executors/fused/test_attention.py",),
    "specframe/executors/modules/cache.py": (
        "executors/test_cache.py",
        "executors/modules/test_losslessness.py",
    ),
}
# one replacement for each operation, since others are similar
OPERATORS = re.compile(
    r"core/(AddNot|ExceptionReplacer|NumberReplacer|Replace(And|Or|True|False|Break|Continue)With\w+"
    r"|ReplaceUnaryOperator_(Delete_\w+|USub_UAdd)|ZeroIterationForLoop"
    r"|ReplaceComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is"
    r"|In_NotIn|NotIn_In)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_Add|Pow_Mul"
    r"|BitAnd_BitOr|BitOr_BitAnd|RShift_LShift))"
)


@dataclass(frozen=True)
class Mutant:
    """A change of one line of one file."""

    path: str
    line: int
    before: str
    after: str
    source: str  # of the whole file, changed

    @property
    def key(self) -> str:
        """A hash of the changed function, or of the statement outside of functions."""
        nodes = [node for node in ast.walk(_plain(self.source)) if _holds(node, self.line)]
        names = [str(getattr(node, "name", "")) for node in nodes]
        defined = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        changed = ast.dump((defined or nodes)[-1 if defined else 0])
        return hashlib.sha256(f"{self.path} {names} {changed}".encode()).hexdigest()[:16]

    @property
    def place(self) -> str:
        """The mutant in the output."""
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"

    @property
    def change(self) -> str:
        """The mutant in the list of explained ones: without a line number."""
        return f"{self.path}: {self.before} -> {self.after}"


def mutants_of(path: str) -> Iterator[Mutant]:
    """All mutants that differ from the file in more than annotations."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code

    source = (ROOT / path).read_text(encoding="utf-8")
    free = _decorator_lines(source)
    nodes, seen = list(ast_nodes(get_ast(source))), {_code(source)}
    for name in filter(OPERATORS.fullmatch, sorted(plugins.operator_names())):
        operator = plugins.get_operator(name)()
        count = sum(len(list(operator.mutation_positions(node))) for node in nodes)
        for occurrence in range(count):
            changed = mutate_code(source, operator, occurrence)
            code = None if changed is None else _code(changed)
            if code is not None and code not in seen:
                seen.add(code)
                mutant = _mutant(path, source, changed)
                if mutant.line not in free:
                    yield mutant


def _decorator_lines(source: str) -> set[int]:
    """Lines of dataclass decorators, which decide no token."""
    return {n for n, line in enumerate(source.splitlines(), 1) if line.startswith("@dataclass")}


def _mutant(path: str, source: str, changed: str) -> Mutant:
    lines = list(zip(source.splitlines(), changed.splitlines(), strict=False))
    number = next(i for i, (old, new) in enumerate(lines) if old != new)
    old, new = lines[number]
    return Mutant(path, number + 1, old.strip(), new.strip(), changed)


def _code(source: str) -> str | None:
    """The dump of the `_plain` program; None if the source is not valid."""
    try:
        return ast.dump(_plain(source))
    except SyntaxError:
        return None


def _plain(source: str) -> ast.Module:
    """The program without docstrings and annotations."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                setattr(node, name, ast.Constant(None))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _holds(node: ast.AST, line: int) -> bool:
    """Whether the node is a statement that contains the line."""
    return isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)


class _Loader(SourceFileLoader):
    """Gives a module the code of a mutant."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(ROOT / mutant.path))
        self._mutant = mutant

    def get_code(self, fullname: str) -> Any:
        return compile(self._mutant.source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the mutated module before the real one."""

    def __init__(self, mutant: Mutant) -> None:
        self._name, self._mutant = mutant.path.removesuffix(".py").replace("/", "."), mutant

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        loader = _Loader(name, self._mutant)
        return spec_from_file_location(name, loader.path, loader=loader)


@dataclass
class _Tests:
    """A pytest plugin that writes the id of a failed test to `failed`."""

    failed: int  # a file descriptor

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self.failed, report.nodeid.encode())


@dataclass
class Run:
    """The tests of one mutant, in a separate process."""

    process: int
    output: int  # file descriptor from which the failed test is read
    polls: int = 0

    def killer(self) -> str | None:
        """The test that caught the mutant; empty if none did, None while tests run."""
        ended, status = os.waitpid(self.process, os.WNOHANG)
        self.polls += 1
        if not ended and self.polls < LATEST / POLL:
            return None
        if not ended:
            os.kill(self.process, signal.SIGKILL)
            _, status = os.waitpid(self.process, 0)
        failed = os.read(self.output, 1 << 16).decode()
        os.close(self.output)
        return failed or ("no test in particular" if status else "")


def start(mutant: Mutant | None, *parts: Sequence[str]) -> Run:
    """Run tests, one part after another, with the mutant (None: the unchanged files).

    The first part that fails ends the run, before files of later parts are imported.
    """
    output, failed = os.pipe()
    os.set_blocking(output, False)
    child = os.fork()
    if child:
        os.close(failed)
        return Run(child, output)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if mutant is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST))
        sys.meta_path.insert(0, _Finder(mutant))
    import pytest

    for tests in filter(None, parts):
        ended = int(pytest.main([*OPTIONS, *tests], plugins=[_Tests(failed)]))
        if ended not in NOTHING_RAN:
            os._exit(ended)
    os._exit(0)


def judge(
    mutants: list[Mutant], seconds: float, jobs: int, earlier: Sequence[tuple[Mutant, str]] = ()
) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with the test that caught it (empty: none), until the time limit.

    `earlier` are mutants of earlier runs with the tests that caught them.
    """
    begun, waiting = monotonic(), list(reversed(mutants))
    running: dict[Mutant, Run] = {}
    caught = [*earlier]
    while waiting or running:
        late = monotonic() - begun > seconds
        while waiting and len(running) < jobs and not late:
            mutant = waiting.pop()
            nearby = nearest(mutant, caught)[:NEARBY]
            own, *others = tests_of(mutant.path)
            running[mutant] = start(mutant, nearby, [own], others)
        if late:
            waiting.clear()
        for mutant, run in list(running.items()):
            killer = run.killer()
            if killer is not None:
                del running[mutant]
                caught += [(mutant, killer)] if killer else []
                yield mutant, killer
        sleep(POLL)


def nearest(mutant: Mutant, caught: Sequence[tuple[Mutant, str]]) -> list[str]:
    """Tests that caught other mutants of the file, those of the nearest lines first."""
    near = sorted(caught, key=lambda pair: abs(pair[0].line - mutant.line))
    return list(dict.fromkeys(test for other, test in near if other.path == mutant.path))


def tests_of(path: str) -> tuple[str, ...]:
    """The file's tests, MUST_HOLD, and other tests that run its code."""
    own, *others = (f"tests/{name}" for name in TARGETS[path])
    return own, MUST_HOLD, *others


def explained() -> dict[str, str]:
    """Why a mutant may survive, by its change."""
    lines = EXPLAINED.read_text(encoding="utf-8").splitlines()
    pairs = (tuple(line.rsplit("  # ", 1)) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def _prepare() -> None:
    """Load what every process needs, but nothing of specframe, which will be mutated."""
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT)]
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.devnull
    libraries = {name: import_module(name) for name in ("hypothesis", "pytest", *LIBRARIES)}
    for name in ("LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"):
        getattr(libraries["transformers"], name)  # imported on first access
    libraries["torch"].set_num_threads(1)


def _sound(paths: set[str]) -> None:
    """Exit if a test fails without any mutant."""
    tests = tuple(dict.fromkeys(test for path in sorted(paths) for test in tests_of(path)))
    run = start(None, tests)
    while (failed := run.killer()) is None:
        sleep(POLL)
    if failed:
        sys.exit(f"A test fails without any mutant: pytest {failed}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=55.0, help="time limit")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="mutate only files whose path contains this")
    given = parser.parse_args()
    _prepare()
    paths = [path for path in TARGETS if given.only in path]
    mutants = [mutant for path in paths for mutant in mutants_of(path)]
    Random(0).shuffle(mutants)  # a run that ends early has judged a random sample
    known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    caught = {mutant.key for mutant in mutants if known.get(mutant.key)}
    alive = {m.key: m for m in mutants if m.key in known and m.key not in caught}
    rest = to_judge(mutants, known, explained())
    _sound({mutant.path for mutant in rest})
    earlier = [(mutant, str(known[mutant.key])) for mutant in mutants if mutant.key in caught]
    for mutant, killer in judge(rest, given.minutes * 60, given.jobs, earlier):
        known[mutant.key] = killer
        alive.pop(mutant.key, None)
        if not killer:
            alive[mutant.key] = mutant
            print(f"lives: {mutant.place}", flush=True)
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(known, indent=0), encoding="utf-8")
    return report(mutants, known, list(alive.values()))


def to_judge(
    mutants: list[Mutant], known: dict[str, str], reasons: Collection[str]
) -> list[Mutant]:
    """Mutants not caught yet: first survivors, which new tests may catch; last explained ones."""
    rest = [mutant for mutant in mutants if not known.get(mutant.key)]
    return sorted(rest, key=lambda mutant: (mutant.change in reasons, mutant.key not in known))


def report(mutants: list[Mutant], known: dict[str, str], alive: list[Mutant]) -> int:
    """Print the numbers and the survivors; 1 if a survivor is unexplained or a reason stale."""
    reasons = explained()
    caught = {mutant.change for mutant in mutants if known.get(mutant.key)}
    caught -= {mutant.change for mutant in mutants if not known.get(mutant.key)}
    stale = sorted(caught & reasons.keys())
    for change in stale:
        print(f"explained, but caught: remove it from the list: {change}")
    judged = sum(mutant.key in known for mutant in mutants)
    new = sorted((m for m in alive if m.change not in reasons), key=lambda m: (m.path, m.line))
    for mutant in new:
        print(mutant.place)
    print(
        f"{judged} of {len(mutants)} mutants judged: {judged - len(alive)} killed, "
        f"{len(alive) - len(new)} explained, {len(new)} to be killed"
    )
    return int(bool(new or stale))


if __name__ == "__main__":
    sys.exit(main())
