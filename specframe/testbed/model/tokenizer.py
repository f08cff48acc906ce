"""The testbed's tokenizer: byte-level BPE trained on the corpus, one token per digit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from specframe.testbed.corpus import DOMAINS, document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, START, END, USER, ASSISTANT = "<|pad|>", "<|start|>", "<|end|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# suffix with apostrophe, word with space, one digit, punctuation, white space
_PIECES = r"'\p{Ll}+| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


def train_tokenizer(entries: int, documents: int) -> "PreTrainedTokenizerFast":
    """Train on the first training documents of the five domains and of the ledger."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        special_tokens=[PAD, START, END, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def _texts(documents: int) -> Iterator[str]:
    for domain in (*DOMAINS, "ledger"):
        for index in range(documents):
            exercise = document(domain, "train", index).exercise
            yield exercise.prompt
            yield exercise.answer
