"""For any model, sampling, plan and strategy, the emitted distribution is the model's."""

import pytest
from doubles.drawn_cases import SMALL, NothingLeft, cases, registered
from doubles.every_strategy import VARIANTS
from doubles.laws import SAMPLINGS, Case, law_error
from hypothesis import assume, given

EXACT = 1e-12
# the other preset of each strategy, and longer texts, are slow
LENGTHS = [
    pytest.param(variant, new_tokens, marks=marks)
    for variant in VARIANTS
    for new_tokens, marks in (
        (3, pytest.mark.slow if variant.endswith(":faithful") else ()),
        (4, pytest.mark.slow),
    )
]


@pytest.mark.timeout(3_000)  # of the slow profile
@given(cases())
def test_any_case_emits_the_models_distribution(drawn):
    try:
        error = law_error(drawn.case())
    except NothingLeft:
        assume(False)
    assert error < EXACT


@pytest.mark.parametrize(("variant", "new_tokens"), LENGTHS)
def test_every_strategy_emits_the_models_distribution(variant, new_tokens):
    sampling = list(SAMPLINGS.values())[VARIANTS.index(variant) % len(SAMPLINGS)]
    assert law_error(Case(registered(variant), sampling, SMALL, new_tokens=new_tokens)) < EXACT
