"""Prompts of the testbed, filled up to a context."""

import pytest

from specframe.errors import InvalidRequest
from specframe.prompts.source import prompts_from
from specframe.prompts.testbed import suite_prompts
from specframe.testbed import suite
from specframe.testbed.corpus import DOMAINS


class Letters:
    """A character a token, as far as the testbed's prompts need it."""

    def convert_tokens_to_ids(self, name):
        return 0

    @property
    def backend_tokenizer(self):
        return self

    def encode(self, text, add_special_tokens):
        return type("Encoding", (), {"ids": list(map(ord, text))})


def test_prompts_fill_the_context_and_no_domain_exceeds_it_by_much():
    first = suite_prompts(Letters(), 1500, 4)
    assert len(first) == 4
    assert all(500 < len(prompt.tokens) <= 1875 for prompt in first)
    assert not {*first} & {*suite_prompts(Letters(), 1500, 4, start=1000)}
    with pytest.raises(InvalidRequest, match="as short as 10 tokens"):
        suite_prompts(Letters(), 10, 1)
    with pytest.raises(InvalidRequest, match="need a tokenizer"):
        suite_prompts(None, 10, 1)


def test_a_filled_prompt_has_as_many_exemplars_as_the_context_holds():
    (prompt, *_) = suite_prompts(Letters(), 1500, 1)
    lengths = [
        len(suite(prompt.domain, 1, exemplars=count)[0].tokens(Letters())) for count in range(20)
    ]
    assert len(prompt.tokens) == max(length for length in lengths if length <= 1500)


def test_prompts_are_named_by_domain_context_and_number():
    found = prompts_from("testbed", Letters(), per_domain=2, contexts=(0, 3000))
    assert len(found) == len(DOMAINS) * 2 * 2
    assert [prompt.name for prompt in found[:4]] == [
        f"{DOMAINS[0]}/{context}/{number}" for context in (0, 3000) for number in (0, 1)
    ]
    plain = suite(DOMAINS[0], 2)
    assert [p.tokens for p in found[:2]] == [question.tokens(Letters()) for question in plain]
    assert all(len(prompt.tokens) > len(found[0].tokens) for prompt in found[2:4])


def test_other_splits_give_other_prompts():
    tested = {prompt.digest for prompt in prompts_from("testbed", Letters(), domains=["sql"])}
    seen = prompts_from("testbed", Letters(), domains=["sql"], split="validation")
    assert not tested & {prompt.digest for prompt in seen}
