"""A GGUF file as a model: the right weights, tokenizer and chat template, or a typed refusal."""

import os
from pathlib import Path

import pytest
import torch
from doubles.gguf_files import TOKENS, exact, original, write_gguf

from specframe import load
from specframe.errors import InvalidRequest, UnsupportedModel
from specframe.fetching import gguf_file, kept
from specframe.fetching.kept import folder_of_file

TEXTS = ("  12 apples\n\n   3. x=10", "Hello , world .", "é—中文😀\t<|im_end|>", " lead  ")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECFRAME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    """Model and tokenizer of a file of float32 tensors."""
    folder = tmp_path_factory.mktemp("float")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECFRAME_CACHE", str(folder / "cache"))
        return load(str(write_gguf(folder / "tiny.gguf")))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("F32", "float32"),
        ("F16", "float16"),
        ("Q4_1", "bfloat16"),
        pytest.param("Q8_0", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_the_weights_are_those_of_the_file(kind, dtype, tmp_path):
    model = load(str(write_gguf(tmp_path / "tiny.gguf", kind))).model
    assert str(model.dtype) == f"torch.{dtype}"
    found = model.state_dict()
    for name, value in original().state_dict().items():
        stored = value
        if value.ndim == 2 and value.shape[-1] % 32 == 0 and kind != "F32":
            stored = torch.tensor(exact(kind, value))
        assert torch.equal(found[name], stored.to(model.dtype)), name


def test_the_model_of_a_float_file_computes_what_the_original_does(float_file):
    prompt = torch.tensor([[1, 40, 7, 99, 2]])
    found = float_file.model(prompt).logits
    torch.testing.assert_close(found, original()(prompt).logits)


def test_text_survives_the_round_trip(float_file):
    tokenizer = float_file.tokenizer
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_text_is_split_as_the_file_says(float_file):
    tokenizer = float_file.tokenizer
    assert tokenizer.tokenize("a  12") == [
        "a",
        "ĠĠ",
        "1",
        "2",
    ]  # unlike GPT-2's rule
    assert tokenizer.tokenize("<|im_end|>") == ["<|im_end|>"]
    assert len(tokenizer) == len(TOKENS)


def test_the_chat_template_is_that_of_the_file(float_file):
    messages = [{"role": "user", "content": "hi"}]
    written = float_file.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert written == "<|im_start|>user hi<|im_end|><|im_start|>"


def test_a_file_is_converted_once_even_if_it_is_moved(tmp_path, monkeypatch, cache):
    first = write_gguf(tmp_path / "tiny.gguf")
    folder = folder_of_file(first)
    second = tmp_path / "MOVED.GGUF"
    first.rename(second)
    monkeypatch.setattr(kept, "convert", pytest.fail)
    monkeypatch.setattr(kept, "require_extra", pytest.fail)
    assert folder_of_file(second) == folder
    assert load(str(second)).model.config.name_or_path == str(second)
    assert len(list((cache / "models").glob("gguf-*"))) == 1


def test_other_files_in_the_folder_do_not_matter(tmp_path, monkeypatch):
    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "x"}')
    monkeypatch.chdir(tmp_path)
    assert load("tiny.gguf").tokenizer.eos_token == "<|im_end|>"
    assert sorted(os.listdir()) == ["cache", "config.json", "tiny.gguf", "tokenizer_config.json"]


def test_the_card_of_a_file_says_what_it_holds(tmp_path):
    card = (folder_of_file(write_gguf(tmp_path / "tiny.gguf", "F16")) / "README.md").read_text()
    assert "'tiny'" in card
    assert "stored here as float16" in card
    assert "dequantised" not in card


def nothing_is_left(cache: Path) -> bool:
    models = cache / "models"
    return not models.exists() or os.listdir(models) in ([], [".lock"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match=r"There is no file .*nowhere\.gguf"):
        load(str(tmp_path / "nowhere.gguf"))


@pytest.mark.parametrize("keep", [0, 3, 0.1, 0.95])
def test_an_unreadable_file_is_refused(keep, tmp_path, cache):
    file = write_gguf(tmp_path / "tiny.gguf")
    content = file.read_bytes()
    file.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InvalidRequest, match=r"tiny\.gguf cannot be read as a GGUF file: .+\. Dow"):
        load(str(file))
    assert nothing_is_left(cache)


def test_an_architecture_that_transformers_cannot_read_is_refused(tmp_path, cache):
    file = write_gguf(tmp_path / "tiny.gguf", architecture="newarch")
    with pytest.raises(UnsupportedModel, match=r"architecture is 'newarch': .* Name a folder"):
        load(str(file))
    assert nothing_is_left(cache)


@pytest.mark.parametrize("missing", [("gguf",), ("gguf", "accelerate")])
def test_a_missing_extra_is_refused_with_what_to_install(missing, tmp_path, monkeypatch, cache):
    file = write_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(gguf_file, "find_spec", lambda name: None if name in missing else name)
    with pytest.raises(InvalidRequest, match=rf"{' and '.join(missing)}.*'specframe\[gguf\]'"):
        load(str(file))
    assert nothing_is_left(cache)
