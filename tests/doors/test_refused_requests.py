"""What cannot be generated is refused with a typed error."""

import numpy as np
import pytest
import torch
from doubles.tiny import tiny_model
from doubles.unharmed import PROMPT, TINY, Photograph, speculator
from transformers import (
    GenerationConfig,
    GPT2Config,
    MambaConfig,
    MambaForCausalLM,
    SynthIDTextWatermarkingConfig,
    T5Config,
)
from transformers import T5ForConditionalGeneration as T5Model

import specframe
from specframe.errors import (
    InvalidConfig,
    InvalidRequest,
    InvalidSkipSet,
    NonFiniteLogits,
    PromptTooLong,
    UnknownStrategy,
    UnsupportedModel,
)
from specframe.executors.fused.executor import FusedExecutor
from specframe.strategies.fixed import FixedSkips
from specframe.types import GainRule, SkipSet, StopRule, TreeRule

SYNTH_ID = SynthIDTextWatermarkingConfig(ngram_len=3, keys=[1, 2, 3])


@pytest.fixture
def model():
    return tiny_model(TINY)


@pytest.fixture(scope="module")
def run():
    """For requests that leave the model as it was."""
    return speculator(tiny_model(TINY))


@pytest.mark.parametrize("empty", [[], [[]], torch.zeros(1, 0, dtype=torch.long)], ids=repr)
def test_an_empty_prompt_is_refused(run, empty):
    with pytest.raises(InvalidRequest, match=r"prompt is empty\. Pass at least one token"):
        run.generate(empty)


@pytest.mark.parametrize(("prompt", "budget"), [(64, 1), (63, 2), (40, 40), (200, 5)])
def test_a_prompt_past_the_models_limit_is_refused(run, prompt, budget):
    message = rf"{prompt} tokens and {budget} new ones exceed the model's 64.*Shorten the prompt"
    with pytest.raises(PromptTooLong, match=message):
        run.generate([1] * prompt, max_new_tokens=budget)


def test_the_models_limit_itself_can_be_reached(run):
    found = run.generate([1] * 44, max_new_tokens=20)
    assert found.sequences.shape == (1, 64)


@pytest.mark.parametrize(
    "settings", [{"max_length": 20}, {"generation_config": GenerationConfig(max_length=20)}]
)
def test_a_max_length_of_twenty_includes_the_prompt(run, settings):
    assert run.generate(PROMPT, **settings).sequences.shape == (1, 20)
    assert run.generate(PROMPT).sequences.shape == (1, 23)  # twenty new ones


def test_a_max_length_of_the_model_includes_the_prompt(model):
    model.generation_config.max_length = 20
    assert speculator(model).generate(PROMPT).sequences.shape == (1, 20)


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_of_nothing_is_refused(run, budget):
    with pytest.raises(InvalidRequest, match=rf"max_new_tokens.*greater than 0, but is {budget}"):
        run.generate(PROMPT, max_new_tokens=budget)


@pytest.mark.parametrize("mask", [[[1, 1, 0]], [1, 0, 1], torch.tensor([[1, 0, 0]])], ids=repr)
def test_a_prompt_padded_on_the_right_or_within_is_refused(run, mask):
    with pytest.raises(InvalidRequest, match=r"padded on the right or within .* without padding"):
        run.generate({"input_ids": [0, 5, 1], "attention_mask": mask})


@pytest.mark.parametrize("mask", [[0, 1, 1], torch.tensor([[0, 1, 1]])], ids=repr)
def test_padding_on_the_left_is_returned_and_not_read(run, mask):
    found = run.generate({"input_ids": [0, 5, 1], "attention_mask": mask}, max_new_tokens=5)
    unpadded = run.generate([5, 1], max_new_tokens=5).sequences
    assert found.sequences[0].tolist() == [0, *unpadded[0].tolist()]
    assert found.stats.prompt_tokens == 2


@pytest.mark.parametrize(
    "mask", ["x", [["a", "b"], ["c", "d"]], torch.ones(3, 1), [1, 1, 1], [[1], [1, 1]]], ids=repr
)
def test_a_mask_without_a_row_for_each_prompt_is_refused(run, mask):
    with pytest.raises(InvalidRequest, match=r"for each prompt, here 2\. Got .* Pass the mask"):
        run.generate(torch.tensor([[5, 1], [6, 2]]), attention_mask=mask)


@pytest.mark.parametrize("token", [-1, 23, 10**6])
def test_a_token_outside_the_vocabulary_is_refused(run, token):
    with pytest.raises(InvalidRequest, match=rf"Token {token} is not in .* vocabulary of 23"):
        run.generate([1, token])


@pytest.mark.parametrize(
    "prompt",
    [3.5, [1.5, 2], [[1, 2], [3.5]], [[1], "a"], object(), np.array([object()])],
    ids=["number", "fractions", "rows", "mixed", "object", "objects"],
)
def test_what_is_no_prompt_is_refused(run, prompt):
    with pytest.raises(InvalidRequest, match="prompt is text, token ids, a tokenizer's output"):
        run.generate(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        torch.tensor([1.0, 2.0]),
        torch.ones(1, 1, 3, dtype=torch.long),
        torch.tensor([True, False]),
        torch.ones(1, 3, dtype=torch.long, device="meta"),
    ],
    ids=["float", "3D", "truths", "no values"],
)
def test_a_tensor_that_is_no_row_of_tokens_is_refused(run, prompt):
    with pytest.raises(InvalidRequest, match="whole numbers in one row"):
        run.generate(prompt)


@pytest.mark.parametrize("named", ["testbed", None])
def test_a_name_is_no_model(named):
    with pytest.raises(InvalidRequest, match=r"model that is loaded. Got .* specframe\.load"):
        specframe.SelfSpeculator(named)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"num_beams": 3}, r"num_beams.*must be 1.*Got 3"),
        ({"guidance_scale": 2.0}, r"guidance_scale.*Got 2\.0"),
        ({"guidance_scale": 0}, r"guidance_scale.*Got 0"),
        ({"dola_layers": "low"}, r"dola_layers.*must be None.*Got 'low'"),
        ({"token_healing": True}, r"token_healing.*must be False.*Got True"),
        ({"force_words_ids": [[3]]}, r"force_words_ids.*must be None.*Got \[\[3\]\]"),
        ({"constraints": [3]}, r"constraints.*must be None.*Got \[3\]"),
        ({"streamer": "x"}, r"'streamer'.* put and end.* Got str"),
        ({"watermarking_config": SYNTH_ID}, "watermarking_config.*must not be SynthID"),
        ({"max_new_token": 5}, "Unknown generation arguments: max_new_token"),
        ({"max_new_tokens": 3.7}, r"'max_new_tokens'.* a whole number. Got 3\.7"),
        ({"max_new_tokens": "3"}, "arguments are refused: .*'str'"),
        ({"max_length": float("nan")}, r"'max_length'.* a number. Got nan"),
        ({"do_sample": True, "top_p": float("nan")}, r"'top_p'.* a number. Got nan"),
        ({"max_time": float("nan")}, r"'max_time'.* a number. Got nan"),
        ({"max_time": "soon"}, r"'max_time'.* a number of seconds. Got 'soon'"),
        ({"eos_token_id": "x"}, "arguments are refused: .*str"),
        ({"no_repeat_ngram_size": "x"}, "arguments are refused: .*str"),
        ({"stopping_criteria": 5}, "arguments are refused: .*int"),
        ({"generation_config": {"max_new_tokens": 3}}, "GenerationConfig. Got dict; pass its"),
        ({"seed": 2**63}, r"'seed'.* from -2\^63 to 2\^63 - 1. Got 9223372036854775808"),
        ({"seed": -(2**63) - 1}, r"'seed'.* from -2\^63 to 2\^63 - 1. Got -9223372036854775809"),
        ({"seed": "1"}, r"'seed'.* whole number .* Got '1'"),
        ({"seed": 1.5}, r"'seed'.* whole number .* Got 1\.5"),
        ({"stop_strings": ["x"]}, "need a tokenizer"),
        ({"do_sample": True, "temperature": -1.0}, r"temperature.*-1\.0"),
        ({"do_sample": True, "temperature": 0.0}, r"temperature.*0\.0.*set `do_sample=False`"),
        ({"do_sample": True, "temperature": 1e-320}, r"temperature.*at least 1e-30.*Got 1e-320"),
        ({"do_sample": True, "top_k": -2}, r"top_k.*-2"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_unsupported_argument_is_refused(run, argument, message):
    with pytest.raises(InvalidRequest, match=message):
        run.generate(PROMPT, **argument)


def test_arguments_for_one_sequence_drawn_token_by_token_are_accepted(run):
    plain = {"num_beams": 1, "num_return_sequences": 1, "guidance_scale": 1.0}
    plain |= {"penalty_alpha": 0.0, "dola_layers": None, "token_healing": False}
    found = run.generate(PROMPT, max_new_tokens=5, **plain).sequences
    assert torch.equal(found, run.generate(PROMPT, max_new_tokens=5).sequences)


@pytest.mark.parametrize("seed", [-(2**63), -1000, 1000, 2**63 - 1])
def test_every_seed_of_a_torch_generator_can_be_used(run, seed):
    assert run.generate(PROMPT, do_sample=True, seed=seed, max_new_tokens=2).stats.new_tokens == 2


def test_the_temperature_is_ignored_in_greedy_decoding(run):
    cold = run.generate(PROMPT, temperature=1e-320, max_new_tokens=5).sequences
    assert torch.equal(cold, run.generate(PROMPT, max_new_tokens=5).sequences)


@pytest.mark.parametrize("layers", [2, 4])
def test_a_skip_set_of_another_size_is_refused(model, layers):
    strategy = FixedSkips(SkipSet.none(layers))
    message = rf"covers {2 * layers} sublayers and the model has 6\. Use a strategy made for this"
    with pytest.raises(InvalidSkipSet, match=message):
        speculator(model, strategy).generate(PROMPT)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: SkipSet(5), InvalidSkipSet),
        (lambda: SkipSet(4, 1 << 4), InvalidSkipSet),
        (lambda: SkipSet.from_sublayers(2, [4]), InvalidSkipSet),
        (lambda: SkipSet.of(2, attention=[-1]), InvalidSkipSet),
        (lambda: StopRule(-1), InvalidConfig),
        (lambda: StopRule(3, confidence=1.5), InvalidConfig),
        (lambda: TreeRule(()), InvalidConfig),
        (lambda: TreeRule((2, 0)), InvalidConfig),
        (lambda: GainRule(-0.1), InvalidConfig),
        (lambda: GainRule(0.1, ((0.5, 0.1), (0.2, 0.9))), InvalidConfig),
    ],
)
def test_a_value_outside_its_range_is_refused(make, error):
    with pytest.raises(error, match=r"Got .* instead"):
        make()


def test_an_unknown_strategy_is_refused_with_the_nearest_name(model):
    message = r"^no strategy named 'autoregresive'\. Did you mean 'autoregressive'\? Known: .*fixed"
    with pytest.raises(UnknownStrategy, match=message):
        speculator(model, "autoregresive")


def test_a_strategy_that_cannot_be_imported_is_refused():
    with pytest.raises(UnknownStrategy, match=r"cannot be loaded.*Check that its package"):
        specframe.strategy_class("no_such_package:Strategy")


@pytest.mark.parametrize(
    "build",
    [
        lambda: MambaForCausalLM(
            MambaConfig(vocab_size=11, hidden_size=8, state_size=4, num_hidden_layers=1)
        ),
        lambda: T5Model(
            T5Config(vocab_size=11, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
        ),
    ],
    ids=["recurrent", "encoder-decoder"],
)
def test_an_unsupported_architecture_is_refused_at_construction(build):
    with pytest.raises(UnsupportedModel, match=r"No executor runs this model: .*\. Use "):
        specframe.SelfSpeculator(build())


def test_the_fused_executor_refuses_an_unknown_family(model):
    model.config = GPT2Config(vocab_size=23)
    with pytest.raises(UnsupportedModel, match="'gpt2' family is not Llama-shaped"):
        FusedExecutor(model)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("sampled", [False, True], ids=["greedy", "sampled"])
def test_non_finite_logits_are_refused(model, bad, sampled):
    run = speculator(model)
    model.lm_head.weight.data[4] = bad
    before = Photograph(model)
    before.values = {name: value.nan_to_num() for name, value in before.values.items()}
    with pytest.raises(NonFiniteLogits, match=r"NaN or infinity.*Check the weights"):
        run.generate(PROMPT, do_sample=sampled)
    for name, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(), before.values[name])
