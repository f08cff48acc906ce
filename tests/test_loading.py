"""Models by name."""

import pytest
import torch
from tiny import Tiny, tiny_model
from transformers.utils.logging import is_progress_bar_enabled

from specframe import load
from specframe.errors import InvalidRequest
from specframe.loading import PLANTED
from specframe.models.load import load_executor


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


def test_a_planted_model_has_its_shape_and_no_tokenizer():
    model, tokenizer = load("planted-19M")
    assert tokenizer is None
    assert model.dtype == torch.bfloat16
    assert load_executor(model).shape == PLANTED["planted-19M"]
