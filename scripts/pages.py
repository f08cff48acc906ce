"""Write the parts of the documentation that are generated: `python scripts/pages.py`.

A generated part is between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; the rest of a
page is written by hand. A test fails if a part differs from the output of this script. A word after
the name is passed to the function that writes the part.

Options name new results, which are copied into `docs` first.
"""

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import architecture
import found
import home
import reference
import shown_figures
import shown_gpu
import shown_run

from specframe.bench import schema

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

PARTS: dict[str, Callable[..., str]] = {
    "cli": reference.commands,
    "errors": reference.errors,
    "grid": reference.grid,
    "settings": reference.settings,
    "results": partial(reference.keys, schema.RESULTS),
    "rows": partial(reference.keys, schema.ROW),
    "summary": partial(reference.keys, schema.SUMMARY),
    "imports": architecture.imports,
    "benchmark": shown_run.figures,
    "engine": shown_figures.engine,
    "environment": shown_run.environment,
    "everyone": shown_run.everyone,
    "field": shown_run.field,
    "found": found.found,
    "gpu": shown_gpu.gpu,
    "measured": shown_run.measured,
    "picture": home.picture,
    "prediction": shown_figures.prediction,
    "snippet": home.snippet,
    "strategies": home.strategies,
}
# option -> what copies the named results into `docs`, and its help
TAKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "run": (shown_run.take, "folder of the finished run of `specframe bench` to show"),
    "real": (shown_run.take_real, "folder of the run of the real model to show beside it"),
    "studies": (found.take_studies, "folders of runs of studies to show"),
    "all": (shown_run.take_all, "folder of the run of all strategies to show"),
    "prediction": (shown_figures.take_prediction, "figures of `specframe predict --check --json`"),
    "engine": (shown_figures.take_engine, "figures of `specframe bench engine --json`"),
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
    return found | {architecture.DIAGRAM: architecture.diagram()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, (_, text) in TAKEN.items():
        parser.add_argument(
            f"--{name}", type=Path, nargs="*" if name == "studies" else 1, default=(), help=text
        )
    given = vars(parser.parse_args())
    for name, (take, _) in TAKEN.items():
        for path in given[name]:
            take(path)
    for path, text in generated().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
