"""What the tests of the doors share."""

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def letters():
    """Makes a tokenizer with one token per letter, from token 0 for the letter `first` on."""

    def make(first, count, **kwargs):
        vocabulary = {chr(ord(first) + i): i for i in range(count)}
        letterwise = Tokenizer(WordLevel(vocabulary, unk_token=first))
        letterwise.pre_tokenizer = Split("", "isolated")
        letterwise.decoder = Fuse()
        return PreTrainedTokenizerFast(tokenizer_object=letterwise, **kwargs)

    return make
