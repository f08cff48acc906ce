"""Whatever the model, the sampling, the plan and the strategy: the emitted law is the model's."""

import pytest
from doubles.drawn_cases import SMALL, NothingLeft, cases, registered
from doubles.every_strategy import VARIANTS
from doubles.laws import SAMPLINGS, Case, law_error
from hypothesis import assume, given, settings

EXACT = 1e-12
FEWEST = 100  # examples, with or without `slow`


@pytest.mark.timeout(3_000)  # of the slow profile
@given(cases())
@settings(max_examples=max(FEWEST, settings.default.max_examples))
def test_any_case_emits_the_models_law(drawn):
    try:
        error = law_error(drawn.case())
    except NothingLeft:
        assume(False)
    assert error < EXACT


@pytest.mark.parametrize("new_tokens", [3, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_strategy_as_itself_emits_the_models_law(variant, new_tokens):
    sampling = list(SAMPLINGS.values())[VARIANTS.index(variant) % len(SAMPLINGS)]
    assert law_error(Case(registered(variant), sampling, SMALL, new_tokens=new_tokens)) < EXACT
