"""A second model that does not fit is refused before the first token."""

import pytest

from specframe import SelfSpeculator
from specframe.errors import UnsupportedModel
from specframe.strategies.draft_model import DraftModel, DraftModelConfig
from specframe.testing.architectures import tiny_model


def test_a_model_of_another_vocabulary_is_refused():
    strategy = DraftModel(DraftModelConfig("testbed-core"))
    with pytest.raises(UnsupportedModel, match="vocabulary has 3072 entries"):
        SelfSpeculator(tiny_model("llama"), strategy)


def test_a_model_of_another_tokenizer_is_refused():
    class Other:
        def get_vocab(self):
            return {"a": 0}

    strategy = DraftModel(DraftModelConfig("testbed-core"))
    with pytest.raises(UnsupportedModel, match="tokenizers' vocabularies differ"):
        SelfSpeculator(tiny_model("llama"), strategy, tokenizer=Other())
