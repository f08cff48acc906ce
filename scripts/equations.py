"""Equations of the site: LaTeX becomes MathML when mkdocs builds a page.

Pages write `$...$` within a line and `$$...$$` as a block. Browsers need no script for MathML. An
unknown command stops the build.
"""

import re
from html import unescape
from typing import Any

from math_core import LatexError, LatexToMathML
from mkdocs.exceptions import PluginError

# an equation in the output of pymdownx.arithmatex
EQUATION = re.compile(r'<(span|div) class="arithmatex">\s*\\[(\[](.*?)\\[)\]]\s*</\1>', re.DOTALL)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with each page."""
    try:
        return typeset(html)
    except LatexError as error:
        raise PluginError(f"{page.file.src_path}: {error}") from error


def typeset(html: str) -> str:
    """The HTML with its equations as MathML."""
    latex = LatexToMathML(fancy_error=False)

    def mathml(equation: re.Match[str]) -> str:
        kind, written = equation[1], unescape(equation[2]).strip()
        try:
            shown = latex.convert_with_local_state(written, displaystyle=kind == "div")
        except LatexError as error:
            raise LatexError(f"{error} in {written}") from error
        return f'<{kind} class="equation">{shown}</{kind}>'

    return EQUATION.sub(mathml, html)
