"""Parts of the README for the home page, and the picture of the shown run with its caption."""

import re
from pathlib import Path

from shown_run import PICTURE, SHOWN

from specframe.bench.report import Comparison, read_run
from specframe.bench.report.comparison import contender_of
from specframe.bench.report.wording import listed, plural
from specframe.bench.summary import MEAN

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "methods"
SNIPPET = re.compile(r"^```python\n.*?^```\n\n```text[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^## Strategies\n\n((?:\|.*\n)+)", re.MULTILINE)
NAME = re.compile(r"`([\w-]+)`")


def snippet() -> str:
    """The README's Python block with its output."""
    return _found(SNIPPET)[0]


def strategies() -> str:
    """The README's table of strategies; names link to their pages."""
    return "".join(_linked(line) for line in _found(TABLE)[1].splitlines(keepends=True))


def _found(part: re.Pattern[str]) -> re.Match[str]:
    found = part.search((ROOT / "README.md").read_text(encoding="utf-8"))
    if found is None:
        raise LookupError(f"README.md has nothing like {part.pattern!r}")
    return found


def _linked(line: str) -> str:
    bar, names, rest = line.split("|", 2)
    return "|".join([bar, NAME.sub(_link, names), rest])


def _link(name: re.Match[str]) -> str:
    return f"[{name[0]}](methods/{name[1]}.md)" if (PAGES / f"{name[1]}.md").exists() else name[0]


def picture() -> str:
    """The speed-ups of the shown run, with the models and the machine."""
    run = read_run(SHOWN)
    means = [contender_of(entry) for entry in run.entries(run.settings[0], MEAN)]
    names = [f"`{contender}`" for contender in means if contender.kind == "strategy"]
    machine, model = run.results["environment"], run.results["model"]
    if run.results["config"]["model"] != "testbed":
        raise LookupError("the caption is that of the testbed")
    caption = (
        f"Decoded tokens per second of {listed(names)}, relative to autoregressive decoding on "
        f"the same engine. {_models(run, model['layers'])} "
        f"Means of {plural(len(run.domains), 'domain')}, "
        f"measured with {plural(machine['threads'], 'thread')} on {machine['processor']}; "
        f"the results file is [{SHOWN.name}]({SHOWN.name})."
    )
    return (
        '<figure class="wide" markdown>\n'
        f"![Speed-ups of strategies on each model]({PICTURE.name})\n"
        f'<figcaption markdown="span">{caption}</figcaption>\n'
        "</figure>"
    )


def _models(run: Comparison, layers: int) -> str:
    testbed = f"The testbed, a small model of {layers} layers, was trained to be skippable"
    if run.real is None:
        return f"{testbed}."
    real = run.real.results["model"]
    return (
        f"Left: {testbed[:1].lower()}{testbed[1:]}. Right: SmolLM2-135M-Instruct "
        f"({real['layers']} layers, weights from 4 bits), a real model that nobody prepared."
    )
