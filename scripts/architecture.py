"""The modules and the imports between them: a diagram and a table.

Run as a script, it draws the diagram of the documentation.
Levels and imports are those that `tests/test_imports.py` reads and enforces.
"""

import runpy
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from tables import table

ROOT = Path(__file__).parent.parent
DIAGRAM = ROOT / "docs" / "concepts" / "architecture.svg"
PACKAGE = "specframe"  # `specframe/__init__.py`, which only re-exports names
PLUGINS = ("strategies", "profilers")
# title of a band -> the packages and modules in it; the first band is at the top
BANDS = {
    "command line": ("commands", "__main__"),
    "comparisons, predictions, studies": ("bench", "studies", "prediction"),
    "entry points and models": ("doors", "rig", "remote_rig", "prompts", "testbed", "testing"),
    "calibration": ("calibration",),
    "strategies": ("strategies",),
    "profilers": ("profilers",),
    "drafting and verifying": ("core",),
    "executors": ("executors",),
    "contract and prices": ("contract", "costs"),
    "values, errors, files": ("types", "errors", "storage", "tensors", "fetching", "scheduling"),
}
WIDTH, GUTTER, CHIP, GAP, HEAD, LETTER = 460, 86, 20, 5, 24, 6.7
STYLE = """
text { font: 11px ui-monospace, "DejaVu Sans Mono", monospace; fill: #1c1e21 }
.title { font: 600 12px system-ui, "DejaVu Sans", sans-serif }
.band { fill: #f3f4f8; stroke: #c9cdd8 } .plugin { stroke-dasharray: 4 3 }
.chip { fill: #ffffff; stroke: #c9cdd8 }
.arrow { fill: none; stroke: #4051b5; opacity: .75 } .point { fill: #4051b5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e8e8ec } .band { fill: #262a35; stroke: #474d5d }
  .chip { fill: #1c1f28; stroke: #474d5d } .arrow { stroke: #93a1f5 } .point { fill: #93a1f5 }
}
"""


@cache
def _table() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tests" / "test_imports.py"))


@cache
def _groups() -> tuple[str, ...]:
    """Prefixes of the table that have modules."""
    found = {_table()["prefix_of"](module) for module in _table()["python_files"]()}
    return tuple(sorted(found - {PACKAGE}))


@cache
def _arrows() -> Counter[tuple[str, str]]:
    """Number of imports from one group to another."""
    prefix_of = _table()["prefix_of"]
    pairs = [(prefix_of(a.source), prefix_of(a.target)) for a in _table()["every_arrow"]()]
    return Counter(pair for pair in pairs if pair[0] != pair[1] and PACKAGE not in pair)


def _level(group: str) -> int:
    level: int = _table()["LEVELS"][group]
    return level


def _room(group: str) -> str:
    """The package or top-level module that a group belongs to."""
    return _short(group).partition(".")[0]


def _band(group: str) -> str:
    return next(title for title, rooms in BANDS.items() if _room(group) in rooms)


def imports() -> str:
    """One line per group of modules, the highest level first."""
    lines = []
    for group in sorted(_groups(), key=lambda name: (-_level(name), name)):
        targets = sorted(_short(target) for source, target in _arrows() if source == group)
        names = ", ".join(f"`{name}`" for name in targets)
        lines.append([f"`{_short(group)}`", _level(group), names or "nothing from specframe"])
    return table(["module", "level", "imports"], lines)


def _short(group: str) -> str:
    return group.removeprefix("specframe.")


def diagram() -> str:
    """Bands of packages, the command line at the top, with arcs for the imports between them."""
    drawn, tops, y = [], {}, 4.0
    for band in BANDS:
        rooms = {_room(group) for group in _groups() if _band(group) == band}
        chips, height = _chips(sorted(rooms), y + HEAD)
        tops[band] = (y, height + HEAD + GAP)
        drawn += [_box(band, y, tops[band][1]), *chips]
        y += tops[band][1] + 10
    style = f"<style>{STYLE}</style><title>Packages; imports point down</title>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" role="img">'
    return "\n".join([head, style, *drawn, *_arcs(tops), "</svg>", ""])


def _box(band: str, y: float, height: float) -> str:
    kind = "band plugin" if band in PLUGINS else "band"
    return (
        f'<rect class="{kind}" x="{GUTTER}" y="{y:.0f}" width="{WIDTH - GUTTER - 4}" '
        f'height="{height:.0f}" rx="6"/>'
        f'<text class="title" x="{GUTTER + 10}" y="{y + 16:.0f}">{band}</text>'
    )


def _chips(rooms: Sequence[str], y: float) -> tuple[list[str], float]:
    """Names in boxes, over as many lines as needed, and the height."""
    drawn, x, top = [], GUTTER + 10.0, y
    for name in rooms:
        width = LETTER * len(name) + 12
        if x + width > WIDTH - 10:
            x, y = GUTTER + 10.0, y + CHIP + GAP
        drawn.append(
            f'<rect class="chip" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{CHIP}" '
            f'rx="4"/><text x="{x + 6:.0f}" y="{y + 14:.0f}">{escape(name)}</text>'
        )
        x += width + GAP
    return drawn, y + CHIP + GAP - top


def _arcs(tops: dict[str, tuple[float, float]]) -> Iterator[str]:
    """From the left edge of a band to that of each band it imports, thicker for more imports."""
    counts: Counter[tuple[str, str]] = Counter()
    for (source, target), number in _arrows().items():
        if _band(source) != _band(target):
            counts[_band(source), _band(target)] += number
    order = list(tops)
    for (source, target), number in sorted(counts.items(), key=str):
        distance = order.index(target) - order.index(source)
        if distance < 0:  # one module of a lower package may import a higher one
            continue
        start = tops[source][0] + tops[source][1] * (0.35 + 0.05 * distance)
        end = tops[target][0] + tops[target][1] * (0.65 - 0.04 * distance)
        bend = GUTTER - 8 - 8.0 * distance
        width = 0.7 + 0.35 * number**0.5
        yield (
            f'<path class="arrow" stroke-width="{width:.1f}" d="M{GUTTER} {start:.1f} '
            f'C{bend:.0f} {start:.1f} {bend:.0f} {end:.1f} {GUTTER - 5} {end:.1f}"/>'
            f'<path class="point" d="M{GUTTER} {end:.1f} l-7 -3 v6 z"/>'
        )


if __name__ == "__main__":
    DIAGRAM.write_text(diagram(), encoding="utf-8")
    print(f"written: {DIAGRAM.relative_to(ROOT)}")
