"""The ways in: the library's generate, streamers, stop strings and stopping criteria."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from doubles.strategies import Answering
from doubles.written_lab import plain_costs
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    StoppingCriteria,
    StoppingCriteriaList,
    TextStreamer,
)
from transformers.generation.streamers import BaseStreamer

import specframe
from specframe.contract.selector import Needs
from specframe.errors import InvalidRequest
from specframe.strategies.fixed import FixedSkips
from specframe.types import SkipSet, StopRule

PROMPT = torch.tensor([[5, 9, 30, 7, 11]])


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).double().eval()


@pytest.fixture
def strategy() -> FixedSkips:
    return FixedSkips(SkipSet.from_sublayers(3, [2, 3]), StopRule(5))


@pytest.fixture
def by_door(model, strategy):
    """The library's `generate` with a strategy, greedy by default."""

    def run(count=12, door=(), **given):
        method = specframe.custom_generate(strategy, **dict(door))
        greedy = {"do_sample": False, "custom_generate": method}
        return model.generate(PROMPT, max_new_tokens=count, **(greedy | given))

    return run


class Recorder(BaseStreamer):
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.puts = 0
        self.ended = False

    def put(self, value: torch.Tensor) -> None:
        self.tokens += value.reshape(-1).tolist()
        self.puts += 1

    def end(self) -> None:
        self.ended = True


@pytest.fixture(scope="module")
def tokenizer(letters):
    return letters("(", 64)


class StopAtLength(StoppingCriteria):
    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        return torch.tensor([input_ids.shape[1] >= self.length])


class Pricing(FixedSkips):
    """Notes which prices it plans with."""

    needs = Needs()
    seen: ClassVar[list] = []

    def start(self, shape):
        planner = super().start(shape)
        return Answering(lambda context: self.seen.append(context.costs) or planner.plan(context))


def test_every_door_passes_the_prices_on(model, strategy):
    costs, chosen = plain_costs(3), Pricing(strategy.skips, strategy.stop)
    method = specframe.custom_generate(chosen, costs=costs)
    Pricing.seen.clear()
    model.generate(PROMPT, max_new_tokens=4, do_sample=False, custom_generate=method)
    specframe.generate(model, PROMPT, strategy=chosen, costs=costs, max_new_tokens=4)
    assert len(Pricing.seen) >= 2
    assert all(seen is costs for seen in Pricing.seen)


def test_the_door_returns_an_output_object_on_request(by_door):
    output = by_door(8, return_dict_in_generate=True)
    assert output.sequences.shape[1] == PROMPT.shape[1] + 8
    assert output.stats.new_tokens == 8


def test_the_door_honours_sampling_processors_and_the_default_seed(model, by_door):
    def draw() -> torch.Tensor:
        torch.manual_seed(3)
        return by_door(20, do_sample=True, top_k=4)

    first = draw()
    assert torch.equal(first, draw())
    logits = model(first).logits[0, PROMPT.shape[1] - 1 : -1]
    allowed = logits.topk(4).indices
    emitted = first[0, PROMPT.shape[1] :]
    assert all(token in row for token, row in zip(emitted, allowed, strict=True))


def test_the_door_passes_committed_tokens_to_its_own_streamer_and_ends_it(by_door):
    recorder = Recorder()
    output = by_door(spec_streamer=recorder)
    assert recorder.tokens == output[0].tolist()
    assert recorder.ended


@pytest.mark.parametrize("skip_prompt", [True, False])
def test_a_text_streamer_shows_every_new_token(by_door, tokenizer, capsys, skip_prompt):
    output = by_door(door={"streamer": TextStreamer(tokenizer, skip_prompt=skip_prompt)})
    shown = output[0, PROMPT.shape[1] if skip_prompt else 0 :]
    assert capsys.readouterr().out == tokenizer.decode(shown) + "\n"


def test_generate_streams_the_prompt_and_then_what_it_commits(model, strategy):
    recorder = Recorder()
    output = specframe.generate(
        model, PROMPT, strategy=strategy, max_new_tokens=12, streamer=recorder
    )
    assert recorder.tokens == output.sequences[0].tolist()
    assert recorder.puts == output.stats.rounds + 2  # the prompt and the token after it
    assert recorder.ended


def _plain_tokens(model: LlamaForCausalLM) -> list[int]:
    return model.generate(PROMPT, max_new_tokens=30, do_sample=False)[0].tolist()


def _stops(model: LlamaForCausalLM) -> Iterator[tuple[int, str]]:
    tokens = _plain_tokens(model)
    for end in range(PROMPT.shape[1] + 1, len(tokens)):
        yield end + 1, chr(40 + tokens[end - 1]) + chr(40 + tokens[end])


def test_a_stop_string_cuts_inside_an_accepted_block(model, strategy, tokenizer):
    tokens = _plain_tokens(model)
    for _, string in list(_stops(model))[:6]:
        output = specframe.generate(
            model,
            PROMPT,
            strategy=strategy,
            tokenizer=tokenizer,
            stop_strings=[string],
            max_new_tokens=30,
        )
        letters = "".join(chr(40 + token) for token in tokens[PROMPT.shape[1] - 1 :])
        end = letters.index(string) + len(string) + PROMPT.shape[1] - 1
        assert output.sequences[0].tolist() == tokens[:end]


def test_a_stop_string_given_to_the_door_stops_the_library_too(model, by_door, tokenizer):
    end, string = list(_stops(model))[5]
    output = by_door(30, door={"tokenizer": tokenizer, "stop_strings": string})
    assert output.shape[1] <= end
    assert output[0].tolist() == _plain_tokens(model)[: output.shape[1]]


def test_stop_strings_without_a_tokenizer_are_refused_with_the_remedy(model, strategy):
    with pytest.raises(InvalidRequest, match="Pass tokenizer"):
        specframe.generate(model, PROMPT, strategy=strategy, stop_strings=["a"])


@pytest.mark.parametrize("length", [6, 7, 9, 10, 15])
def test_a_stopping_criterion_is_checked_after_every_token_of_a_block(model, strategy, length):
    criteria = StoppingCriteriaList([StopAtLength(length)])
    output = specframe.generate(
        model, PROMPT, strategy=strategy, stopping_criteria=criteria, max_new_tokens=30
    )
    assert output.sequences.shape[1] == length


def test_the_door_refuses_a_batch_padding_and_a_filled_cache(model, strategy):
    door = specframe.custom_generate(strategy)
    two = PROMPT.expand(2, -1)
    with pytest.raises(InvalidRequest, match="batch of 2"):
        model.generate(two, custom_generate=door, max_new_tokens=4)
    padded = torch.tensor([[0, 1, 1, 1, 1]])
    with pytest.raises(InvalidRequest, match="padded"):
        model.generate(PROMPT, attention_mask=padded, custom_generate=door, max_new_tokens=4)
    cache = model(PROMPT[:, :3], use_cache=True).past_key_values
    with pytest.raises(InvalidRequest, match="already holds 3"):
        model.generate(PROMPT, past_key_values=cache, custom_generate=door, max_new_tokens=4)


def test_the_door_refuses_embeddings_and_tokens_that_the_model_does_not_know(model, strategy):
    door = specframe.custom_generate(strategy)
    vectors = model.get_input_embeddings()(PROMPT)
    with pytest.raises(InvalidRequest, match="Pass input_ids alone"):
        model.generate(inputs_embeds=vectors, custom_generate=door, max_new_tokens=4)
    with pytest.raises(InvalidRequest, match="Token 64 is not in the model's vocabulary of 64"):
        model.generate(torch.tensor([[5, 64]]), custom_generate=door, max_new_tokens=4)
