"""At longer contexts attention is skipped more, MLPs less."""

from types import SimpleNamespace

import pytest
import torch

from specframe.errors import InvalidRequest
from specframe.studies.attention_share import STUDY, AttentionShareSettings
from specframe.studies.framework.running import run_study
from specframe.studies.worlds import priced_rig
from specframe.testing import planted_llama
from specframe.types import ModelShape, Prompt

SHAPE = ModelShape(8, 32, 61, 4, 2, 8, 48, 256)


@pytest.fixture
def small(monkeypatch):
    """A model in which half of the attention and half of the MLP sublayers do nothing."""
    model = planted_llama(
        SHAPE, {i: float(i % 4 in (0, 3)) for i in range(16)}, dtype=torch.float64
    )
    prompts = [Prompt(tuple(range(1 + i, 31 + i)), "", f"{i}") for i in range(2)]
    loaded = SimpleNamespace(model=model, tokenizer="some")
    monkeypatch.setattr("specframe.rig.load", lambda name: loaded)
    monkeypatch.setattr(priced_rig, "prompts_from", lambda *a, **k: prompts)
    return loaded


def test_the_more_expensive_kind_of_sublayer_is_skipped_more(small, tmp_path):
    settings = AttentionShareSettings(contexts=(128, 4096, 32768))
    results = run_study(STUDY, settings, tmp_path)
    skipped = results["skipped"]
    assert results["contexts"] == [128, 4096, 32768]
    difference = [a - m for a, m in zip(skipped["attention"], skipped["MLP"], strict=True)]
    assert difference[0] < difference[-1]
    assert {row["sublayers"] for row in results["rows"]} == {"attention", "MLP"}
    price = {(r["context"], r["sublayers"]): r["milliseconds"] for r in results["rows"]}
    assert price[128, "attention"] < price[128, "MLP"]
    assert price[32768, "attention"] > price[32768, "MLP"]


def test_a_model_without_a_tokenizer_is_refused(small, tmp_path):
    small.tokenizer = None
    with pytest.raises(InvalidRequest, match="no tokenizer"):
        run_study(STUDY, AttentionShareSettings(), tmp_path)
