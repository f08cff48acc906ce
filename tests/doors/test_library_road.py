"""Calls as in transformers work as there, or raise a clear error."""

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from doubles.written_lab import plain_costs
from torch import nn
from transformers import (
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    TextIteratorStreamer,
    TextStreamer,
)

import specframe
from specframe import Rig, SelfSpeculator, custom_generate, load
from specframe.errors import InvalidConfig, InvalidRequest, UnknownStrategy, UnsupportedModel
from specframe.profilers.latency import LatencyProfile
from specframe.profilers.store import load_profile, save_profile
from specframe.strategies import KnapSpec, StaticBO
from specframe.strategies.fixed import FixedSkips
from specframe.types import SkipSet, StopRule

PROMPT = torch.tensor([[5, 9, 20, 7, 11]])
NEW = 12
SAVED = Path(__file__).parents[1] / "strategies" / "saved_by_0_1" / "static-bo"
PAD, END = 0, 16
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}v{% endif %}"
)


@pytest.fixture(scope="module")
def model():
    return tiny_model(Tiny(layers=3, hidden=32))


@pytest.fixture(scope="module")
def tokenizer(letters):
    return letters("a", 23, pad_token="a", padding_side="left", chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def strategy():
    return FixedSkips(SkipSet.from_sublayers(3, [2, 3]), StopRule(4))


@pytest.fixture(scope="module")
def speculator(model, tokenizer, strategy):
    return SelfSpeculator(model, strategy, tokenizer=tokenizer)


@pytest.fixture
def generate(speculator):
    return lambda *args, **kwargs: speculator.generate(*args, max_new_tokens=NEW, **kwargs)


@pytest.fixture
def library(model):
    def run(*args, **kwargs):
        return model.generate(*args, **{"max_new_tokens": NEW, "do_sample": False, **kwargs})

    return run


@pytest.fixture
def door(library, strategy, tokenizer):
    return lambda **kwargs: library(
        PROMPT, custom_generate=custom_generate(strategy, tokenizer=tokenizer), **kwargs
    )


# prompts


def messages(*texts):
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize(
    "prompt",
    [
        PROMPT,
        PROMPT[0],
        PROMPT.tolist(),
        PROMPT.numpy(),
        PROMPT[0].numpy(),
        list(PROMPT[0].numpy()),
        tuple(PROMPT[0].tolist()),
        "fjuhl",
        ["fjuhl"],
        {"input_ids": PROMPT, "attention_mask": torch.ones_like(PROMPT)},
    ],
    ids=lambda prompt: type(prompt).__name__,
)
def test_a_prompt_may_have_any_usual_form(generate, library, prompt):
    assert torch.equal(generate(prompt).sequences, library(PROMPT))


def test_what_a_tokenizer_returns_may_be_unpacked(
    generate, library, tokenizer, model, strategy, speculator
):
    given = tokenizer("fjuhl", return_tensors="pt")
    assert torch.equal(generate(**given).sequences, library(PROMPT))
    output = specframe.generate(model, **given, strategy=strategy, max_new_tokens=NEW)
    assert torch.equal(output.sequences, library(PROMPT))
    streamed = list(speculator.stream(**given, max_new_tokens=NEW))
    assert streamed == library(PROMPT)[0, PROMPT.shape[1] :].tolist()


def test_messages_are_put_in_the_chat_template(generate, library):
    output = generate(messages("fj", "uh")).sequences
    assert torch.equal(output, library(torch.tensor([[5, 9, 20, 7, 21]])))
    both = generate([messages("fj", "uh"), messages("fj", "uh")]).sequences
    assert torch.equal(both, output.expand(2, -1))


def test_messages_without_a_chat_template_are_refused(model, strategy, tokenizer):
    plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    with pytest.raises(InvalidRequest, match=r"messages cannot be a prompt.*chat_template"):
        SelfSpeculator(model, strategy, tokenizer=plain).generate(messages("fj"))
    with pytest.raises(InvalidRequest, match="needs a tokenizer"):
        SelfSpeculator(model, strategy).generate(messages("fj"))


def test_a_prompt_is_given_once(generate):
    with pytest.raises(InvalidRequest, match="Got neither"):
        generate()
    with pytest.raises(InvalidRequest, match="Got both"):
        generate(PROMPT, input_ids=PROMPT)


def test_a_mask_of_another_length_is_refused(generate):
    with pytest.raises(InvalidRequest, match="mask has 3 positions, and the prompt 5"):
        generate(PROMPT, attention_mask=torch.ones(1, 3))


# batches

BATCH = ["fjuhl", "ef", "tbc"]


@pytest.mark.parametrize("settings", [{}, {"max_new_tokens": None, "max_length": 14}], ids=repr)
def test_a_batch_has_the_tokens_and_padding_of_the_library(
    speculator, library, tokenizer, settings
):
    given = tokenizer(BATCH, padding=True, return_tensors="pt")
    settings = {"max_new_tokens": NEW, "eos_token_id": END, "pad_token_id": PAD} | settings
    theirs = library(**given, **settings)
    assert theirs.shape[0] == 3
    assert (theirs[:, -1] == PAD).any()  # some rows end before others
    output = speculator.generate(**given, **settings)
    assert torch.equal(output.sequences, theirs)
    assert torch.equal(speculator.generate(given, **settings).sequences, theirs)
    if settings["max_new_tokens"]:
        assert torch.equal(speculator.generate(BATCH, **settings).sequences, theirs)
        unmasked = speculator.generate(given["input_ids"], **settings).sequences
        assert torch.equal(unmasked, library(given["input_ids"], **settings))


def test_a_batch_has_statistics_of_all_prompts_and_of_each(generate):
    output = generate(BATCH)
    assert [stats.prompt_tokens for stats in output.each] == [5, 2, 3]
    for name in ("prompt_tokens", "new_tokens", "rounds", "drafted", "accepted"):
        assert getattr(output.stats, name) == sum(getattr(one, name) for one in output.each)
    decoded = sum(one.new_tokens - 1 for one in output.each)
    seconds = sum(one.decode_seconds for one in output.each)
    assert output.stats.tokens_per_second == pytest.approx(decoded / seconds)
    assert generate("fjuhl").each[0].new_tokens == NEW


def test_a_batch_is_sampled_with_a_seed_for_each_prompt(generate):
    sampled = {"do_sample": True, "temperature": 3.0}
    first, second = generate(["fjuhl", "fjuhl"], seed=3, **sampled).sequences
    assert not torch.equal(first, second)
    assert torch.equal(generate("fjuhl", seed=3, **sampled).sequences[0], first)
    assert torch.equal(generate("fjuhl", seed=4, **sampled).sequences[0], second)


def test_a_batch_cannot_be_streamed(generate, speculator, tokenizer):
    with pytest.raises(InvalidRequest, match="batch of 3"):
        generate(BATCH, streamer=TextStreamer(tokenizer))
    with pytest.raises(InvalidRequest, match="batch of 3"):
        list(speculator.stream(BATCH))


# strategies


def test_a_class_is_its_best_preset(model):
    made = SelfSpeculator(model, KnapSpec, costs=plain_costs(3))
    assert made.strategy == SelfSpeculator(model, "knapspec", costs=plain_costs(3)).strategy
    assert made.generate(PROMPT, max_new_tokens=4).stats.new_tokens == 4


def test_what_is_no_strategy_is_refused(model):
    with pytest.raises(InvalidConfig, match="Got int instead"):
        SelfSpeculator(model, 3)
    with pytest.raises(InvalidConfig, match="Got type instead"):
        SelfSpeculator(model, dict)


@pytest.mark.parametrize("make", [SelfSpeculator, lambda m, s: custom_generate(s)])
def test_a_name_may_include_preset_and_settings(model, make):
    assert (
        SelfSpeculator(model, "knapspec:faithful").strategy.config == KnapSpec.presets["faithful"]
    )
    assert SelfSpeculator(model, "knapspec+longest=3").strategy.config.longest == 3
    with pytest.raises(UnknownStrategy, match="Did you mean 'knapspec'"):
        SelfSpeculator(model, "knapspek:faithful")


def test_paths_and_text_name_the_same_folder(model, tmp_path):
    saved = StaticBO.load(SAVED)
    for folder in (tmp_path / "a", str(tmp_path / "b")):
        saved.save(folder)
        assert StaticBO.load(str(folder)) == StaticBO.load(Path(folder)) == saved
        assert SelfSpeculator(model, folder).strategy == saved
        assert SelfSpeculator(model, Path(folder)).strategy == saved
    profile = LatencyProfile(plain_costs(3), 0.0, 0.0, 1, 0.0)
    for folder in (tmp_path / "c", str(tmp_path / "d")):
        save_profile(profile, folder)
        assert load_profile(folder, {}).costs == profile.costs


@pytest.mark.parametrize("kind", [str, Path])
def test_a_model_may_be_named_by_a_path(model, tokenizer, tmp_path, kind):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load(kind(tmp_path)).model.config.vocab_size == 23
    assert Rig.load(kind(tmp_path)).name == str(tmp_path)


# arguments


def streamed_text(streamer, run):
    """The text that another thread reads from the streamer, and errors of `run`."""
    failures = []

    def guarded():
        try:
            run()
        except InvalidRequest as error:
            failures.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    text = "".join(streamer)
    thread.join(10)
    return text, failures


@pytest.mark.parametrize("skip_prompt", [False, True])
def test_the_librarys_streamer_argument_is_streamed_into(door, library, tokenizer, skip_prompt):
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=skip_prompt, timeout=20)
    text, _ = streamed_text(streamer, lambda: door(streamer=streamer))
    shown = library(PROMPT)[0, PROMPT.shape[1] if skip_prompt else 0 :]
    assert text == tokenizer.decode(shown)


def test_a_streamer_ends_with_an_error(door, speculator, tokenizer):
    for run in (
        lambda streamer: door(streamer=streamer, output_scores=True),
        lambda streamer: door(spec_streamer=streamer, output_scores=True),
        lambda streamer: speculator.generate([99], streamer=streamer),
    ):
        streamer = TextIteratorStreamer(tokenizer, timeout=20)
        _, failures = streamed_text(streamer, lambda run=run, streamer=streamer: run(streamer))
        assert len(failures) == 1


def test_stop_strings_work_as_in_the_library(door, library, tokenizer, model, strategy):
    plain = library(PROMPT)[0].tolist()
    string = tokenizer.decode(plain[8:10])
    theirs = library(PROMPT, stop_strings=[string], tokenizer=tokenizer)
    assert theirs.shape[1] < len(plain)
    assert torch.equal(door(stop_strings=[string]), theirs)
    assert torch.equal(door(stop_strings=[string], tokenizer=tokenizer), theirs)
    with pytest.raises(InvalidRequest, match="need a tokenizer"):
        library(PROMPT, custom_generate=custom_generate(strategy), stop_strings=[string])


KEPT = ("output_scores", "output_logits", "output_hidden_states", "output_attentions")


@pytest.mark.parametrize("name", KEPT)
def test_outputs_that_are_not_kept_are_refused(generate, door, name):
    for run in (lambda **given: generate(PROMPT, **given), door):
        with pytest.raises(InvalidRequest, match=f"{name}.*call the model once"):
            run(**{name: True}, return_dict_in_generate=True)


@pytest.mark.parametrize(
    "given", [{"prompt_lookup_num_tokens": 3}, {"assistant_early_exit": 2}, {"assistant_model": 1}]
)
def test_other_ways_to_draft_are_refused(generate, door, model, given):
    given = {name: model if name == "assistant_model" else value for name, value in given.items()}
    for run in (lambda **given: generate(PROMPT, **given), door):
        with pytest.raises(InvalidRequest, match=r"since the strategy drafts"):
            run(**given)


def test_allowed_tokens_are_the_only_ones(generate, door, library):
    def allowed(batch, tokens):
        return [3, 4] if tokens.shape[-1] % 2 else [4, 9, 11]

    theirs = library(PROMPT, prefix_allowed_tokens_fn=allowed)
    assert torch.equal(generate(PROMPT, prefix_allowed_tokens_fn=allowed).sequences, theirs)
    assert torch.equal(door(prefix_allowed_tokens_fn=allowed), theirs)


def test_a_processor_may_write_into_the_scores_it_is_given(generate, door, library):
    def favour(tokens, scores):
        scores[:, tokens.shape[-1] % 23] += 50.0
        return scores

    theirs = library(PROMPT, logits_processor=LogitsProcessorList([favour]))
    assert not torch.equal(theirs, library(PROMPT))
    assert torch.equal(generate(PROMPT, logits_processor=[favour]).sequences, theirs)
    assert torch.equal(door(logits_processor=LogitsProcessorList([favour])), theirs)


def test_a_misspelt_argument_gets_a_suggestion(generate):
    with pytest.raises(InvalidRequest, match=r"max_new_token.*Did you mean 'max_new_tokens'"):
        generate(PROMPT, max_new_token=3)


# wrapped models


class LoraLinear(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base, self.weight, self.bias = base, base.weight, base.bias
        self.low = nn.Linear(base.in_features, base.out_features, bias=False).double()

    def forward(self, rows):
        return self.base(rows) + self.low(rows)


@dataclass
class Active:
    is_prompt_learning: bool = False


class Wrapped(nn.Module):
    """A wrapper with the interface of PEFT's PeftModel."""

    def __init__(self, model, active):
        super().__init__()
        self.base_model, self.active_peft_config = model, active

    def get_base_model(self):
        return self.base_model

    def prepare_inputs_for_generation(self, *args, **kwargs):
        raise AssertionError("not called by a walk")


def test_an_adapter_of_peft_is_run(strategy):
    model = tiny_model(Tiny(layers=3, hidden=32))
    plain = model.generate(PROMPT, max_new_tokens=NEW, do_sample=False)
    mlp = model.model.layers[0].mlp
    mlp.up_proj = LoraLinear(mlp.up_proj)
    adapted = model.generate(PROMPT, max_new_tokens=NEW, do_sample=False)
    assert not torch.equal(adapted, plain)
    output = SelfSpeculator(Wrapped(model, Active()), strategy).generate(PROMPT, max_new_tokens=NEW)
    assert torch.equal(output.sequences, adapted)
    assert "LoraLinear" in output.stats.executor


def test_learnt_prompts_are_refused(strategy):
    model = tiny_model(Tiny(layers=3, hidden=32))
    wrapper = Wrapped(model, Active(is_prompt_learning=True))
    with pytest.raises(UnsupportedModel, match="Active adds learnt inputs before the prompt"):
        SelfSpeculator(wrapper, strategy)
    model.prepare_inputs_for_generation = wrapper.prepare_inputs_for_generation
    with pytest.raises(UnsupportedModel, match="Wrapped adds learnt inputs"):
        model.generate(PROMPT, custom_generate=custom_generate(strategy), max_new_tokens=2)
