"""The default prompts of a model, and how a command announces them."""

import pytest

from specframe.bench.settings import BenchSettings
from specframe.prompts.usual import opening_line, usual_prompts


@pytest.mark.parametrize(
    ("model", "source"),
    [("testbed", "testbed"), ("planted-19M", "random"), ("smollm2", "everyday"), ("x", "everyday")],
)
def test_only_the_testbed_and_planted_models_have_their_own_prompts(model, source):
    assert usual_prompts(model) == source
    assert BenchSettings(model=model).source == source
    assert BenchSettings(model=model).as_config()["prompts"] == source
    assert BenchSettings(model=model, prompts="mine.jsonl").source == "mine.jsonl"


def test_default_prompts_are_announced():
    assert opening_line("smollm2", None).startswith("Prompts: everyday")
    assert opening_line("smollm2", "everyday") is None
    assert opening_line("testbed", None) is None
    assert opening_line("planted-19M", None) is None
