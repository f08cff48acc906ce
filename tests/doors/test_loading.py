"""Models by name."""

import json

import pytest
import torch
from doubles.tiny import Tiny, tiny_model
from transformers.utils.logging import is_progress_bar_enabled

from specframe import load
from specframe.doors.doctor import diagnose
from specframe.doors.loading import PLANTED
from specframe.errors import InvalidRequest
from specframe.executors.load import load_executor


def test_a_folder_is_loaded_with_the_dtype_of_its_weights(tmp_path, monkeypatch, capfd):
    from transformers import AutoTokenizer

    tiny_model(Tiny(dtype=torch.bfloat16)).save_pretrained(tmp_path)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda name: f"tokenizer of {name}")
    capfd.readouterr()
    model, tokenizer = load(str(tmp_path))
    assert capfd.readouterr().err == ""  # no bar over the weights
    assert is_progress_bar_enabled()  # which other loads still draw
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert tokenizer == f"tokenizer of {tmp_path}"


@pytest.mark.parametrize("name", ["no-such-folder/at/all", "/nowhere"])
def test_a_model_that_is_not_there_is_refused_with_what_is_known(name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        InvalidRequest, match=r"No model .* planted-19M, planted-1.1B, planted-1.1B-32k, a folder"
    ):
        load(name)


@pytest.mark.parametrize("name", ["testbed", "planted-19M"])
def test_a_model_that_is_made_here_takes_no_arguments(name):
    with pytest.raises(InvalidRequest, match=f"'{name}' is made here .* Got revision; leave"):
        load(name, revision="main", dtype="float32")


def test_a_model_that_is_made_here_has_the_given_dtype():
    assert load("planted-19M", dtype="float32").model.dtype == torch.float32


def test_model_and_tokenizer_come_from_the_same_source(monkeypatch):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    given_to = {}

    def remember(what):
        def from_pretrained(name, **given):
            given_to[what] = given
            found = torch.nn.Linear(1, 1)
            return (
                (found, {"missing_keys": set()}) if given.pop("output_loading_info", 0) else found
            )

        return from_pretrained

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", remember("model"))
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", remember("tokenizer"))
    source = {"revision": "v2", "local_files_only": True, "trust_remote_code": False}
    load("some/model", **source, device_map="cpu")
    assert given_to["tokenizer"] == source
    assert given_to["model"] == {"dtype": "auto", "device_map": "cpu", **source}


@pytest.mark.parametrize("error", [KeyError("mamba9"), ImportError("No module named 'tiktoken'.")])
def test_any_error_of_the_library_is_a_typed_error(error, monkeypatch):
    from transformers import AutoConfig, AutoModelForCausalLM

    def refuse(name, **given):
        raise error

    for kind in (AutoConfig, AutoModelForCausalLM):
        monkeypatch.setattr(kind, "from_pretrained", refuse)
    for load_it in (load, diagnose):
        with pytest.raises(
            InvalidRequest, match=r"No model 'some/model' can be loaded: .*[a-z9]'\. Name"
        ):
            load_it("some/model")


@pytest.mark.parametrize(
    ("size", "change", "message"),
    [
        (None, {"num_hidden_layers": 9}, r"lack \d+ of the model's weights, 'model.layers"),
        (None, {"hidden_size": 64}, "No model .* can be loaded"),
        (0, {}, "No model .* can be loaded"),
        (3000, {}, "No model .* can be loaded"),
    ],
    ids=["more layers", "wider", "empty", "cut off"],
)
def test_weights_that_do_not_fit_the_config_are_refused(size, change, message, tmp_path, capfd):
    tiny_model(Tiny()).save_pretrained(tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    weights.write_bytes(weights.read_bytes()[:size])
    for load_it in (load, diagnose):
        with pytest.raises(InvalidRequest, match=message):
            load_it(str(tmp_path))


def test_a_planted_model_has_its_shape_and_no_tokenizer():
    model, tokenizer = load("planted-19M")
    assert tokenizer is None
    assert model.dtype == torch.bfloat16
    assert load_executor(model).shape == PLANTED["planted-19M"]
