"""A generation never changes the model, even if it fails."""

from dataclasses import dataclass
from functools import cache

import pytest
import torch
from doubles.strategies import Answering
from doubles.tiny import tiny_model
from doubles.unharmed import PROMPT, SKIPS, TINY, Photograph, speculator

from specframe.contract.selector import LayerSelector
from specframe.errors import SpecframeError
from specframe.executors.fused.executor import FusedExecutor
from specframe.types import DraftPlan, StopRule


@pytest.fixture
def model():
    return tiny_model(TINY)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "seed": 1},
        {"repetition_penalty": 1.3, "min_new_tokens": 4, "eos_token_id": 2},
    ],
    ids=["greedy", "sampled", "processors"],
)
def test_a_generation_leaves_the_model_as_it_was(model, settings):
    before = Photograph(model)
    speculator(model).generate(PROMPT, max_new_tokens=20, **settings)
    before.assert_same(model)


def test_an_abandoned_stream_leaves_the_model_as_it_was(model):
    before = Photograph(model)
    stream = speculator(model).stream(PROMPT, max_new_tokens=40)
    next(stream)
    next(stream)
    stream.close()
    before.assert_same(model)


REFUSED = {
    "empty": lambda run: run.generate([]),
    "too long": lambda run: run.generate([1] * 70),
    "no budget": lambda run: run.generate(PROMPT, max_new_tokens=0),
    "batch": lambda run: list(run.stream([[1], [2]])),
    "unknown argument": lambda run: run.generate(PROMPT, max_length=30, no_such_thing=1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_leaves_the_model_as_it_was(model, name):
    run = speculator(model)
    before = Photograph(model)
    with pytest.raises(SpecframeError):
        REFUSED[name](run)
    before.assert_same(model)


@dataclass(frozen=True)
class Interrupts(LayerSelector):
    """Like the fixed strategy, but raises an error in one round."""

    at: int
    error: type[BaseException]

    def start(self, shape):
        return Answering(self._plan)

    def _plan(self, context):
        if context.round == self.at:
            raise self.error
        return DraftPlan(SKIPS, StopRule(4))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_an_error_within_a_strategy_leaves_the_model_as_it_was(model, error):
    before = Photograph(model)
    with pytest.raises(error):
        speculator(model, Interrupts(2, error)).generate(PROMPT, max_new_tokens=30)
    before.assert_same(model)


@pytest.mark.parametrize(
    ("part", "call"),
    [
        *(("_attention", 0), ("_attention", 23), ("_mlp", 5), ("_rotate", 5)),
        *(("_frame", 0), ("_frame", 5), ("logits", 0), ("logits", 5), ("logits", 23)),
    ],
)
def test_an_interrupted_walk_leaves_the_model_as_it_was_and_the_next_call_is_right(
    model, part, call, monkeypatch
):
    """Ctrl-C at any depth of prefill, draft or verification."""
    run = speculator(model)
    before = Photograph(model)
    original = getattr(FusedExecutor, part)
    calls = 0

    def interrupted(self, *arguments, **named):
        nonlocal calls
        calls += 1
        if calls == call + 1:
            raise KeyboardInterrupt
        return original(self, *arguments, **named)

    monkeypatch.setattr(FusedExecutor, part, interrupted)
    tokens = iter(run.stream(PROMPT, max_new_tokens=25))
    with pytest.raises(KeyboardInterrupt):
        list(tokens)
    monkeypatch.undo()
    before.assert_same(model)
    assert torch.equal(run.generate(PROMPT, max_new_tokens=25).sequences, wanted())


@cache
def wanted():
    return speculator(tiny_model(TINY)).generate(PROMPT, max_new_tokens=25).sequences


def test_an_interrupted_fusing_leaves_the_values_and_can_be_repeated(model, monkeypatch):
    from specframe.executors.fused import fusible

    before = Photograph(model)
    fuse = fusible.fuse_rows
    calls = 0

    def interrupted(linears):
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return fuse(linears)

    monkeypatch.setattr(fusible, "fuse_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        speculator(model)
    before.assert_same(model)
    monkeypatch.setattr(fusible, "fuse_rows", fuse)
    found = speculator(model).generate(PROMPT, max_new_tokens=25).sequences
    assert torch.equal(found, wanted())
    before.assert_same(model)


def test_two_streams_of_one_speculator_do_not_disturb_each_other(model):
    run = speculator(model)
    wanted = [list(run.stream(prompt, max_new_tokens=20)) for prompt in (PROMPT, [2, 2])]
    streams = [run.stream(prompt, max_new_tokens=20) for prompt in (PROMPT, [2, 2])]
    found = [[], []]
    for _ in range(20):
        for tokens, stream in zip(found, streams, strict=True):
            tokens.append(next(stream))
    assert found == wanted
