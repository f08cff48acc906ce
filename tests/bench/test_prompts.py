"""Prompts of a benchmark and of its calibrations."""

from doubles.word_tokenizer import Words

from specframe.bench.prompts import benchmark_prompts, calibration_prompts
from specframe.bench.settings import BenchSettings
from specframe.prompts.everyday import everyday_prompts


def test_everyday_prompts_are_split_into_benchmark_and_calibration():
    settings = BenchSettings(prompts="everyday", domains=("sql", "code"), per_domain=20)
    prompts = benchmark_prompts(settings, Words())
    assert prompts == everyday_prompts(Words(), domains=("sql", "code"))
    assert calibration_prompts(settings, prompts, Words()) == everyday_prompts(
        Words(),
        domains=("sql", "code"),
        per_domain=settings.calibration_prompts,
        split="validation",
    )
