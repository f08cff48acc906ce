"""Write the parts of the documentation that are generated: `python scripts/pages.py`.

A generated part is between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; the rest of a
page is written by hand. A test fails if a part differs from what this script writes. A word after
the name is passed to the function that writes the part.

`--run RUN` first makes a finished run of `specframe bench` the one that is shown, `--real RUN` the
one of the real model beside it, `--all RUN` a run of all strategies, `--studies RUN...` runs of
studies, `--engine FILE` the figures of `specframe bench engine --json FILE`, `--prediction FILE`
those of `specframe predict --check --json FILE`.
"""

import argparse
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import architecture
import field
import found
import home
import reference
import shown_figures
import shown_gpu
import shown_run

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DIAGRAM = DOCS / "concepts" / "architecture.svg"

PARTS: dict[str, Callable[..., str]] = {
    "cli": reference.commands,
    "errors": reference.errors,
    "grid": reference.grid,
    "settings": reference.settings,
    "results": reference.results,
    "rows": reference.rows,
    "summary": reference.summary,
    "imports": architecture.imports,
    "benchmark": shown_run.figures,
    "engine": shown_figures.engine,
    "environment": shown_run.environment,
    "everyone": shown_run.everyone,
    "field": field.field,
    "found": found.found,
    "gpu": shown_gpu.gpu,
    "measured": shown_run.measured,
    "picture": home.picture,
    "prediction": shown_figures.prediction,
    "snippet": home.snippet,
    "strategies": home.strategies,
}
PART = re.compile(r"<!-- generated: (\w+)(?: (\S+))? -->\n.*?<!-- end of \1 -->", re.DOTALL)


def filled(page: str) -> str:
    """The page with all its generated parts brought up to date."""
    return PART.sub(lambda match: _part(match[1], match[2]), page)


def _part(name: str, about: str | None) -> str:
    text = PARTS[name](about) if about else PARTS[name]()
    head = f"{name} {about}" if about else name
    return f"<!-- generated: {head} -->\n\n{text.strip()}\n\n<!-- end of {name} -->"


def generated() -> dict[Path, str]:
    """File -> its required content, for every file that is generated in whole or in part."""
    found = {
        page: filled(text)
        for page in sorted(DOCS.rglob("*.md"))
        if PART.search(text := page.read_text(encoding="utf-8"))
    }
    return found | {DIAGRAM: architecture.diagram()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="folder of the finished run to show")
    parser.add_argument("--all", type=Path, help="folder of the run of all strategies to show")
    parser.add_argument("--engine", type=Path, help="figures of `specframe bench engine` to show")
    parser.add_argument(
        "--prediction", type=Path, help="figures of `specframe predict --check` to show"
    )
    parser.add_argument("--real", type=Path, help="folder of the run of the real model to show")
    parser.add_argument(
        "--studies", type=Path, nargs="*", default=(), help="runs of studies to show"
    )
    given = parser.parse_args()
    if given.run is not None:
        shown_run.take(given.run)
    if given.real is not None:
        shown_run.take_real(given.real)
    for run in given.studies:
        found.take_studies(run)
    if given.all is not None:
        shown_run.take_all(given.all)
    if given.prediction is not None:
        shutil.copyfile(given.prediction, shown_figures.PREDICTION)
    if given.engine is not None:
        shutil.copyfile(given.engine, shown_figures.ENGINE)
    for path, text in generated().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
