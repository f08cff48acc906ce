"""LaTeX in the HTML of a page becomes MathML."""

import equations
import pytest
from math_core import LatexError

INLINE = r'<p>A <span class="arithmatex">\(a \lt b\)</span> <code>$x$</code></p>'
BLOCK = r'<div class="arithmatex">\[' + "\n" + r"\frac{p}{q}" + "\n" + r"\]</div>"


def test_an_equation_within_a_line():
    shown = equations.typeset(INLINE)
    assert shown.startswith('<p>A <span class="equation"><math>')
    assert "&lt;" in shown
    assert "<code>$x$</code>" in shown


def test_a_block():
    shown = equations.typeset(BLOCK)
    assert shown.startswith('<div class="equation"><math display="block">')
    assert "<mfrac>" in shown


def test_an_unknown_command_is_refused():
    with pytest.raises(LatexError, match=r"unknwon.* in \\unknwon x"):
        equations.typeset(r'<span class="arithmatex">\(\unknwon x\)</span>')
