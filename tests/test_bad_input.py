"""What cannot be done is refused with a typed error; whatever happens, the model is as it was."""

import json
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from doubles.command_line import specframe as specframe_command
from doubles.strategies import Answering
from doubles.tiny import Tiny, tiny_model
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
from specframe.bench.run_folder import RunFolder
from specframe.contract.selector import LayerSelector
from specframe.costs.model import CostModel
from specframe.doors.loading import Loaded
from specframe.errors import (
    ArtefactError,
    CalibrationMismatch,
    InvalidConfig,
    InvalidRequest,
    InvalidSkipSet,
    NonFiniteLogits,
    PromptTooLong,
    SpecframeError,
    UnknownStrategy,
    UnsupportedModel,
)
from specframe.executors.fused.executor import FusedExecutor
from specframe.profilers.latency import LatencyProfile
from specframe.profilers.store import find_profile, keep_profile
from specframe.prompts.files import file_prompts
from specframe.rig import Rig
from specframe.storage.whole_folder import held_alone
from specframe.strategies.fixed import FixedSkips
from specframe.types import DraftPlan, GainRule, SkipSet, StopRule, TreeRule

TINY = Tiny(layers=3, positions=64)
SKIPS = SkipSet.from_sublayers(3, [3, 4])
STRATEGY = FixedSkips(SKIPS, StopRule(4))
PROMPT = [5, 1, 17]
SYNTH_ID = SynthIDTextWatermarkingConfig(ngram_len=3, keys=[1, 2, 3])


@pytest.fixture(autouse=True, scope="module")
def own_cache_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def model():
    return tiny_model(TINY)


class Photograph:
    """Everything about a model that a generation must not change."""

    def __init__(self, model):
        self.values = {name: value.clone() for name, value in model.state_dict().items()}
        self.requires = {name: value.requires_grad for name, value in model.named_parameters()}
        self.modules = {name: type(module) for name, module in model.named_modules()}
        self.training = {name: module.training for name, module in model.named_modules()}
        self.config = model.config.to_dict()
        self.generation = model.generation_config.to_dict()
        self.attributes = sorted(vars(model))

    @staticmethod
    def hooks(model):
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        return [getattr(module, kind) for module in model.modules() for kind in kinds]

    def assert_same(self, model):
        values = model.state_dict()
        assert list(values) == list(self.values)
        for name, value in self.values.items():
            assert torch.equal(values[name], value), name
        now = Photograph(model)
        for name in ("requires", "modules", "training", "config", "generation", "attributes"):
            assert getattr(now, name) == getattr(self, name), name
        assert not any(self.hooks(model))


def speculator(model, strategy=STRATEGY):
    return specframe.SelfSpeculator(model, strategy, costs=CostModel.even(TINY.layers))


@pytest.fixture(scope="module")
def run():
    """For requests that leave the model as it was."""
    return speculator(tiny_model(TINY))


# requests


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
def test_a_length_of_twenty_that_was_asked_for_holds_the_prompt_too(run, settings):
    assert run.generate(PROMPT, **settings).sequences.shape == (1, 20)
    assert run.generate(PROMPT).sequences.shape == (1, 23)  # twenty new ones


def test_a_length_that_the_model_asks_for_holds_the_prompt_too(model):
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
def test_padding_on_the_left_stays_and_is_not_read(run, mask):
    found = run.generate({"input_ids": [0, 5, 1], "attention_mask": mask}, max_new_tokens=5)
    unpadded = run.generate([5, 1], max_new_tokens=5).sequences
    assert found.sequences[0].tolist() == [0, *unpadded[0].tolist()]
    assert found.stats.prompt_tokens == 2


def test_a_tokenizers_output_without_padding_is_a_prompt(run):
    given = {"input_ids": torch.tensor([PROMPT]), "attention_mask": torch.ones(1, 3)}
    found = run.generate(given, max_new_tokens=5).sequences
    assert torch.equal(found, run.generate(PROMPT, max_new_tokens=5).sequences)


@pytest.mark.parametrize("token", [-1, 23, 10**6])
def test_a_token_outside_the_vocabulary_is_refused(run, token):
    with pytest.raises(InvalidRequest, match=rf"Token {token} is not in .* vocabulary of 23"):
        run.generate([1, token])


@pytest.mark.parametrize(
    "prompt",
    [3.5, [1.5, 2], [[1, 2], [3.5]], [[1], "a"], object()],
    ids=["number", "fractions", "rows", "mixed", "object"],
)
def test_what_is_no_prompt_is_refused(run, prompt):
    with pytest.raises(InvalidRequest, match="prompt is text, token ids, a tokenizer's output"):
        run.generate(prompt)


@pytest.mark.parametrize(
    "prompt", [torch.tensor([1.0, 2.0]), torch.ones(1, 1, 3, dtype=torch.long)], ids=["float", "3D"]
)
def test_a_tensor_that_is_no_row_of_tokens_is_refused(run, prompt):
    with pytest.raises(InvalidRequest, match="whole numbers in one row"):
        run.generate(prompt)


def test_text_without_a_tokenizer_is_refused(run):
    with pytest.raises(InvalidRequest, match="needs a tokenizer"):
        run.generate("hello")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"num_beams": 3}, r"num_beams.*must be 1.*Got 3"),
        ({"guidance_scale": 2.0}, r"guidance_scale.*Got 2\.0"),
        ({"guidance_scale": 0}, r"guidance_scale.*Got 0"),
        ({"dola_layers": "low"}, r"dola_layers.*must be None.*Got 'low'"),
        ({"token_healing": True}, r"token_healing.*must be False.*Got True"),
        ({"watermarking_config": SYNTH_ID}, "watermarking_config.*must not be SynthID"),
        ({"max_new_token": 5}, "Unknown generation arguments: max_new_token"),
        ({"stop_strings": ["x"]}, "need a tokenizer"),
        ({"do_sample": True, "temperature": -1.0}, r"temperature.*-1\.0"),
        ({"do_sample": True, "top_k": -2}, r"top_k.*-2"),
    ],
    ids=[
        "beams",
        "guidance",
        "no guidance",
        "DoLa",
        "healing",
        "watermark",
        "misspelt",
        "stop strings",
        "temperature",
        "top-k",
    ],
)
def test_an_argument_that_is_not_understood_is_refused(run, argument, message):
    with pytest.raises(InvalidRequest, match=message):
        run.generate(PROMPT, **argument)


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
    with pytest.raises(UnknownStrategy) as caught:
        speculator(model, "autoregresive")
    message = str(caught.value)
    assert message.startswith("no strategy named 'autoregresive'. Did you mean 'autoregressive'?")
    assert "Known: " in message
    assert "fixed" in message


def test_a_strategy_from_nowhere_is_refused():
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


def test_the_fused_executor_names_what_it_does_not_know(model):
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


# command lines: exit status 2, one line, nothing loaded or measured in vain, nothing left behind


class Letters:
    """A tokenizer of letters."""

    chat_template = None

    def __call__(self, text):
        return {"input_ids": [1 + ord(letter) % 20 for letter in text]}

    def decode(self, tokens, **_):
        return "".join(chr(97 + token) for token in tokens)


FILES = {
    "mark.jsonl": b'\xef\xbb\xbf{"prompt": "abc", "domain": "a"}\n',
    "empty.jsonl": b'{"prompt": "", "domain": "a"}\n',
    "null.jsonl": b'{"prompt": "abc", "domain": null}\n',
    "nan.jsonl": b'{"prompt": "abc", "domain": NaN}\n',
    "half.jsonl": b'{"prompt": "\\ud800", "domain": "a"}\n',
    "deep.jsonl": b"[" * 100_000,
    "binary.jsonl": b"\xff\xfe\x00",
    "long.jsonl": b"".join(
        b'{"prompt": "%s%d", "domain": "a"}\n' % (b"x" * 299, i) for i in range(9)
    ),
    "some.jsonl": b"".join(b'{"prompt": "abc%d", "domain": "a"}\n' % i for i in range(6)),
    "twice.jsonl": b'{"prompt": "abc", "domain": "a"}\n' * 5,
    "partly.jsonl": b'{"prompt": "a"}\n{"prompt": "b", "domain": "a"}\n{"prompt": "c"}\n',
    "broken/manifest.json": b"{",
    "deep/manifest.json": b"[" * 100_000,
    "evil/manifest.json": b'{"schema_version": 1, "kind": "evil.payload:X", "fingerprint": {}}',
    "foreign/manifest.json": b'{"schema_version": 1, "kind": "latency profile"}',
    "mixed.toml": b"contexts = ['a']",
    "nan.toml": b"temperatures = [nan]",
    "inf.toml": b"calibration_seconds = inf",
    "binary.toml": b"\xff\xfe",
    "digits.toml": b"per_domain = " + b"9" * 5000,
    "hex.toml": b"per_domain = 0x" + b"f" * 5000,
    "many.toml": b"per_domain = 1000000000",
    "near.toml": b"per_domian = 3",
    "flat.toml": b"grid = 3",
    "contexts.toml": b"contexts = [999999]",
    "two.toml": b"calibration_prompts = 2",
    "tokens.toml": b"new_tokens = 9999999",
    "deep.json": b"[" * 100_000,
    "nan.json": b'{"schema_version": 1, "rows": [], "summary": NaN}',
    "odd.json": b'{"schema_version": 1, "rows": 3, "summary": [{"selector": 5}], "config": []}',
    "config.json": b"{}",
}
SHORT = ("--prompts", "random", "--contexts", "16", "--new-tokens", "16")
CALIBRATE = ("calibrate", "knn-ssd", "--out", "new")
DIGITS = "9" * 5000
# what needs no model to be refused
BEFORE_LOADING = [
    (("generate", "hi", "--seed", "99999999999999999999999"), "seed"),
    (("generate", "hi", "--seed", "-1"), "seed"),
    (("generate", "hi", "--temperature", "nan"), "temperature"),
    (("generate", "hi", "--temperature", "inf"), "temperature"),
    (("generate", "\udcff"), "not Unicode"),
    (("generate", "hi", "--stop", ""), "stop string is empty"),
    (("generate", "hi", "--strategy", "x" * 5000), "no strategy named 'xxx"),
    (("generate", "hi", "--strategy", ""), "no strategy named ''"),
    (("generate", "hi", "--strategy", "os.path:join"), "'os.path:join' is no strategy"),
    (("generate", "hi", "--preset", "nope"), "best or faithful"),
    (("generate", "hi", "--strategy", "knapspek"), "Did you mean 'knapspec'"),
    (("generate", "hi", "--strategy", "broken"), "cannot be read"),
    (("generate", "hi", "--strategy", "deep"), "nested too deeply"),
    (("generate", "hi", "--strategy", "evil"), "no strategy that is installed here"),
    (("generate", "hi", "--strategy", "cascade", "--set", "of=evil"), "is installed here"),
    (("generate", "hi", "--strategy", "swift", "--set", f"seed={DIGITS}"), "whole number"),
    (("generate", "hi", "--strategy", "swift", "--set", "seed=" + "9" * 30), "whole number"),
    (("generate", "hi", "--set", f"draft_stop=length:{DIGITS}"), "draft_stop"),
    (("generate", "hi", "--set", "draft_stop=confidence:8:nan"), "draft_stop"),
    (("generate", "hi", "--set", f"draft_tree={DIGITS}"), "draft_tree"),
    (("generate", "hi", "--strategy", "knapspec", "--set", "longest=999999"), "in [1, 64]"),
    (("generate", "hi", "--strategy", "knapspec", "--set", f"memory={DIGITS}"), "memory"),
    (("generate", "hi", "--set", "=3"), "form name=value"),
    (("generate", "hi", "--set", "seed=1", "--set", "seed=2"), "seed is set twice: '1' and '2'"),
    (("generate", "hi", "--dtype", "int3"), "dtype must be auto, bfloat16"),
    (("generate", "hi", "--threads", "100000"), "between 1 and"),
    (("generate", "hi", "--device", "tpu"), "cpu or cuda"),
    (("generate", "hi", "--json", "no/such.json"), "cannot be written"),
    (("generate", "hi", "--json", "."), "cannot be written"),
    ((*CALIBRATE, "--set", "seconds=nan"), "finite number"),
    ((*CALIBRATE, "--set", "seconds=1e999"), "finite number"),
    ((*CALIBRATE, "--set", "margin=nan"), "finite number"),
    ((*CALIBRATE, "--prompts", "empty.jsonl"), "line 1 is empty"),
    ((*CALIBRATE, "--prompts", "null.jsonl"), "'domain' in line 1"),
    ((*CALIBRATE, "--prompts", "nan.jsonl"), "line 1: not JSON"),
    ((*CALIBRATE, "--prompts", "half.jsonl"), "not Unicode"),
    ((*CALIBRATE, "--per-domain", "99999999999"), "per-domain"),
    ((*CALIBRATE, "--prompts", "deep.jsonl"), "nested too deeply"),
    ((*CALIBRATE, "--prompts", "binary.jsonl"), "not UTF-8"),
    ((*CALIBRATE, "--prompts", "no\nsuch"), "cannot be read"),
    ((*CALIBRATE, "--prompts", "mark.jsonl"), "3 different prompts a domain"),
    ((*CALIBRATE, "--prompts", "twice.jsonl"), "'a' has 1"),
    ((*CALIBRATE, "--prompts", "partly.jsonl"), "1 of 3 prompts name a domain"),
    (("calibrate", "kangaroo", "--out", "new", "--prompts", "mark.jsonl"), "3 prompts"),
    ((*CALIBRATE, "--threads", "0"), "between 1 and"),
    (("calibrate", "knn-ssd", "--out", "foreign"), "holds something else, 'latency profile'"),
    (("calibrate", "knn-ssd", "--out", "mark.jsonl"), "no folder that can be written"),
    (("calibrate", "knn-ssd", "--out", "/proc/nope"), "no folder that can be written"),
    (("calibrate", "knn-ssd", "--out", "x" * 5000), "no folder that can be written"),
    (("predict", "--contexts", DIGITS), "contexts"),
    (("predict", "--threads", "100000"), "between 1 and"),
    (("predict", "--count", "9999999999"), "count"),
    (("predict", "--strategy", "evil"), "is installed here"),
    (("predict", "--prompts", "binary.jsonl"), "not UTF-8"),
    (("profile", "--rows", "100000"), "from 1 to 64"),
    (("profile", "--rows", ",".join(map(str, range(1, 50)))), "up to 32 whole numbers"),
    (("profile", "--budget", "inf"), "budget"),
    (("profile", "--budget", "nan"), "budget"),
    (("profile", "--plot", "p.unknown"), "must end in .png"),
    (("profile", "--out", "/proc/nope"), "no folder that can be written"),
    (("doctor", "tesbed"), "Did you mean 'testbed'"),
    (("doctor", "testbed", "--threads", "100000"), "between 1 and"),
    (("compare", "--model", "tesbed", "--run", "new"), "Did you mean 'testbed'"),
    (("compare", "--strategies", "knapspek", "--run", "new"), "Did you mean 'knapspec'"),
    (("compare", "--strategies", "evil", "--run", "new"), "is installed here"),
    (("compare", "--domains", "nope", "--run", "new"), "No domain named 'nope'"),
    (("compare", "--threads", "100000", "--run", "new"), "between 1 and"),
    (("compare", "--prompts", "empty.jsonl", "--run", "new"), "line 1 is empty"),
    (("compare", "--prompts", "mark.jsonl", "--run", "new"), "has no others"),
    (("compare", "--prompts", "some.jsonl", "--run", "new"), "Got 2; give more"),
    (("compare", "--run", "/proc/nope"), "no folder that can be written"),
    (("bench", "--grid", "mixed.toml", "--run", "new"), "of type int"),
    (("bench", "--grid", "nan.toml", "--run", "new"), "temperatures"),
    (("bench", "--grid", "inf.toml", "--run", "new"), "calibration_seconds"),
    (("bench", "--grid", "binary.toml", "--run", "new"), "not TOML"),
    (("bench", "--grid", "digits.toml", "--run", "new"), "not TOML"),
    (("bench", "--grid", "hex.toml", "--run", "new"), "per_domain"),
    (("bench", "--grid", "many.toml", "--run", "new"), "in [1, 1000]"),
    (("bench", "--grid", "near.toml", "--run", "new"), "Did you mean 'per_domain'"),
    (("bench", "--grid", "flat.toml", "--run", "new"), "must be a table"),
    (("bench", "--dtype", "int3", "--run", "new"), "dtype must be"),
    (("bench", "engine", "--threads", "100000"), "between 1 and"),
    (("bench", "engine", "--dtype", "int3"), "dtype must be"),
    (("report", "deep.json"), "nested too deeply"),
    (("report", "nan.json"), "NaN is no finite number"),
    (("report", "odd.json"), "cannot be drawn"),
    (("report", "odd.json", "--picture", "x.png"), "must end in .svg"),
    (("report", "odd.json", "--out", "no/such.html"), "cannot be written"),
    (("testbed", "train", "--out", "/proc/nope", "--size", "tiny"), "no folder that can be"),
    (("testbed", "train", "--out", "new", "--threads", "100000"), "between 1 and"),
    (("testbed", "train", "--out", "new", "--tokens", "9" * 30), "tokens"),
    (("testbed", "info", "--model", "x" * 5000), "No model at"),
    (("compare", "--strategies", "", "--run", "new"), "one or more names"),
    (("testbed", "eval", "--prompts", "99999999"), "prompts"),
    (("testbed", "sample", "--domain", "sql", "--count", "99999999"), "count"),
    (("study", "scale", "--out", "mark.jsonl"), "no folder that can be written"),
    (("study", "scale", "--plot", "p.unknown", "--out", "new"), "must end in .png"),
    (("study", "scale", "--threads", "100000", "--out", "new"), "between 1 and"),
    (("study", "scale", "--device", "tpu", "--out", "new"), "cpu or cuda"),
    (("study", "all", "--dtype", "int3", "--out", "new"), "dtype must be"),
    (("testbed", "train", "--out", "new", "--device", "tpu"), "cpu or cuda"),
    (("testbed", "train", "--out", "new", "--dtype", "float16"), "leave both out"),
]
# what is refused as soon as the model is known, and before anything is measured
BEFORE_PRICING = [
    (("generate", "", "--strategy", "knapspec"), "prompt is empty"),
    (("generate", "x" * 60, "--max-new-tokens", "5"), "exceeds the 64 positions"),
    (("generate", "hi", "--max-new-tokens", "99999999"), "exceeds the 64 positions"),
    (("generate", "hi", "--strategy", "knn-ssd", "--max-new-tokens", "9"), "not calibrated yet"),
    ((*CALIBRATE, "--new-tokens", "9999999", "--prompts", "some.jsonl"), "the 64 positions"),
    (("bench", "--grid", "two.toml", "--model", ".", "--run", "new"), "3 different prompts"),
    ((*CALIBRATE, "--prompts", "long.jsonl"), "'a/1' has 300 tokens"),
    (("predict", "--contexts", "99999", "--prompts", "random"), "the 64 positions"),
    (("predict", "--new-tokens", "9999999", "--prompts", "random"), "the 64 positions"),
    (("predict", "--prompts", "random"), "A context has 256 tokens"),
    (("predict", "--check", "--prompts", "random"), "A context has 128 tokens"),
    (("predict", "--strategy", "knn-ssd", *SHORT), "not calibrated yet"),
    (("profile", "--contexts", "99999999"), "at most 32"),
    (("profile", "--contexts", "32,64"), "at most 32"),
    (("bench", "--grid", "contexts.toml", "--run", "new"), "the 64 positions"),
    (("bench", "--grid", "tokens.toml", "--run", "new"), "the 64 positions"),
    (("compare", "--prompts", "long.jsonl", "--run", "new"), "'a/1' has 300 tokens"),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with faulty files, where nothing can be measured."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "evil.py").write_text("raise AssertionError('code of a folder was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def measured(*_, **__):
        raise AssertionError("something was measured")

    monkeypatch.setattr("specframe.rig.measured_profile", measured)
    monkeypatch.setattr("specframe.costs.measure.measured_profile", measured)
    return tmp_path


def refused(monkeypatch, capsys, place, arguments, told):
    before = sorted(place.rglob("*"))
    assert specframe_command(monkeypatch, *arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert told in printed
    assert printed.startswith("Usage: ") or "\n" not in printed
    assert len(printed) < 2000
    assert sorted(place.rglob("*")) == before


def short(given):
    return given[:20] if isinstance(given, str) else " ".join(part[:20] for part in given)


@pytest.mark.parametrize(("arguments", "told"), BEFORE_LOADING, ids=short)
def test_a_command_line_is_refused_before_a_model_is_loaded(
    monkeypatch, capsys, place, arguments, told
):
    def loaded(name, **_):
        raise AssertionError(f"{name} was loaded")

    for where in ("specframe.rig.load", "specframe.doors.loading.load_model"):
        monkeypatch.setattr(where, loaded)
    refused(monkeypatch, capsys, place, arguments, told)


@pytest.mark.parametrize(("arguments", "told"), BEFORE_PRICING, ids=short)
def test_a_command_line_is_refused_before_anything_is_measured(
    monkeypatch, capsys, place, arguments, told
):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))
    refused(monkeypatch, capsys, place, arguments, told)


def test_a_model_without_a_tokenizer_generates_no_text(monkeypatch, capsys, place):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), None))
    arguments = ("generate", "hi", "--model", "planted-19M")
    refused(monkeypatch, capsys, place, arguments, "'planted-19M' has no tokenizer")


def test_a_mark_at_the_start_of_a_file_is_read_over(place):
    (prompt,) = file_prompts(place / "mark.jsonl", Letters())
    assert prompt.domain == "a"


# what is written, and what is kept


@pytest.fixture
def figures(monkeypatch):
    """Write figures to a file, as `--json` does."""
    return lambda path: specframe_command(monkeypatch, "ls", "--json", path)


def test_a_link_stays_a_link_and_its_file_is_replaced(figures, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "far" / "real.json")
    for _ in range(2):  # the file is not there yet, then it is
        assert figures(tmp_path / "link.json") == 0
        assert (tmp_path / "link.json").is_symlink()
        assert json.loads((tmp_path / "far" / "real.json").read_text())["schema_version"] == 1


def test_a_pipe_is_written_to(figures, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert figures(tmp_path / "pipe") == 0
    assert json.loads(os.read(reader, 1 << 20))["schema_version"] == 1
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_device_is_written_to_and_stays(figures, monkeypatch):
    assert figures("/dev/null") == 0
    assert Path("/dev/null").is_char_device()


@pytest.fixture
def tiny_rig():
    return Rig.of(tiny_model(TINY), costs=CostModel.even(TINY.layers))


def kept(rig, folder):
    """A calibration of this rig's model, kept in the folder."""
    source = Path(__file__).parent / "strategies" / "saved_by_0_1" / "layerskip"
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["fingerprint"] = manifest["value"]["found"]["facts"] = dict(rig.facts)
    manifest["value"]["found"]["facts"] = list(map(list, rig.facts.items()))
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return str(folder)


def test_a_calibration_for_other_weights_of_the_same_shape_is_refused(tiny_rig, tmp_path):
    folder = kept(tiny_rig, tmp_path / "kept")
    assert tiny_rig.strategy(folder).found is not None
    other = tiny_model(TINY)
    other.lm_head.weight.data[0, 0] += 1.0
    with pytest.raises(CalibrationMismatch, match=r"parameters .*specframe calibrate layerskip"):
        Rig.of(other, costs=tiny_rig.costs).strategy(folder)
    with pytest.raises(CalibrationMismatch, match="parameters "):
        specframe.SelfSpeculator(other, folder)
    assert specframe.SelfSpeculator(tiny_rig.model, folder).strategy.found is not None


def test_a_folder_in_use_is_not_calibrated_into(monkeypatch, capsys, place):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))
    costs = CostModel.even(TINY.layers)
    profile = SimpleNamespace(costs=costs)
    monkeypatch.setattr("specframe.rig.measured_profile", lambda *_, **__: profile)
    with held_alone(place / "new"):
        arguments = (*CALIBRATE, "--prompts", "some.jsonl", "--new-tokens", "8")
        refused(monkeypatch, capsys, place, arguments, "Another process runs in 'new'")


def test_a_run_that_was_refused_leaves_its_folder_free(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InvalidRequest), run.held({"strategies": "misspelt"}, resume=False):
        raise InvalidRequest("no such domain")
    assert not run.path.exists()
    with run.held({"strategies": "spelt"}, resume=False):
        run.append({"answer": 1})
    with pytest.raises(InvalidRequest), run.held({"strategies": "spelt"}, resume=True):
        raise InvalidRequest("later")
    assert run.rows() == [{"answer": 1}]


def test_a_damaged_row_is_one_typed_error(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{\n")
    with pytest.raises(ArtefactError, match="cannot be read"):
        RunFolder(tmp_path).rows()


def small_profile(costs, seconds, contexts, rows):
    cells = tuple(tuple(1.0 for _ in rows) for _ in contexts)
    base = replace(costs.base, contexts=contexts, rows=rows, seconds=cells)
    return LatencyProfile(replace(costs, base=base, facts={"machine": "m"}), 0.0, 0.0, 3, seconds)


def test_a_profile_of_a_few_contexts_does_not_replace_one_of_many(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path))
    costs = CostModel.even(TINY.layers)
    for seconds, contexts, kept_now in (
        (1.0, (8, 16, 32), 1.0),
        (2.0, (16,), 1.0),
        (3.0, (8, 16, 32, 64), 3.0),
    ):
        keep_profile(small_profile(costs, seconds, contexts, (1, 2)))
        assert find_profile({"machine": "m"}).seconds == kept_now


def test_a_command_computes_with_the_dtype_and_threads_that_are_asked_for(monkeypatch):
    given = {}

    def load(name, **named):
        given.update(named)
        return Loaded(tiny_model(TINY), Letters())

    monkeypatch.setattr("specframe.rig.load", load)
    more = ("--dtype", "float32", "--threads", "1", "--max-new-tokens", "3")
    assert specframe_command(monkeypatch, "generate", "hi", *more) == 0
    assert given == {"dtype": torch.float32}
    assert torch.get_num_threads() == 1


def test_pricing_on_first_use_tells_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))

    def measured(*_, progress, **__):
        progress(4, 4)
        return SimpleNamespace(costs=CostModel.even(TINY.layers), warnings=())

    monkeypatch.setattr("specframe.rig.measured_profile", measured)
    arguments = ("generate", "hi", "--strategy", "knapspec", "--max-new-tokens", "3")
    assert specframe_command(monkeypatch, *arguments) == 0
    assert "pricing: 4 of 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("knapspec", "not drafting in 6 of 6 rounds: best plan predicted"),
        ("fixed --set draft=0", "fixed found nothing to draft with for this prompt"),
        ("autoregressive", "nothing was drafted; "),
    ],
)
def test_a_generation_without_drafts_says_why(monkeypatch, capsys, strategy, told):
    monkeypatch.setattr("specframe.rig.load", lambda name: Loaded(tiny_model(TINY), Letters()))
    costly = replace(CostModel.even(TINY.layers), step_seconds=100.0)
    profile = SimpleNamespace(costs=costly, warnings=())
    monkeypatch.setattr("specframe.rig.measured_profile", lambda *_, **__: profile)
    arguments = ("generate", "hi", "--strategy", *strategy.split(), "--max-new-tokens", "7")
    assert specframe_command(monkeypatch, *arguments) == 0
    told_at_all = capsys.readouterr().err
    assert told in told_at_all
    assert "of 0 drafted" not in told_at_all


# whatever happens, the model stays as it was


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
    """Like the fixed strategy, until it stops the whole thing from within a round."""

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


@pytest.mark.parametrize("part", ["_attention", "_mlp", "_rotate", "_frame", "logits"])
@pytest.mark.parametrize("call", [0, 5, 23])
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
