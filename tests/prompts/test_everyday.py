"""The everyday prompts: how many, how long, all different, and in both forms."""

import re
from itertools import combinations

import pytest
from doubles.word_tokenizer import ChatWords, Words

from specframe.errors import InvalidRequest
from specframe.prompts.chat import plain_text
from specframe.prompts.everyday import (
    EVERYDAY_DOMAINS,
    cut_everyday_prompts,
    everyday_conversations,
    everyday_prompts,
)
from specframe.prompts.source import has_splits, prompts_from

USER, ASSISTANT = ChatWords.roles["user"], ChatWords.roles["assistant"]
SHARED = 12  # two prompts of a domain never share so many words in a row
SHORT, LONG, LONGEST = 250, 300, 1500  # words and signs, of which tokens are made


def conversations(domain):
    return everyday_conversations(domain, "validation") + everyday_conversations(domain, "test")


def written(messages):
    return "\n".join(message["content"] for message in messages)


def length(text):
    """Words and signs: about as many as tokens."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def runs(text):
    """All runs of `SHARED` words."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + SHARED]) for i in range(max(len(words) - SHARED + 1, 1))}


def test_there_are_eight_domains_of_forty_prompts():
    assert len(EVERYDAY_DOMAINS) == 8
    for split in ("validation", "test"):
        found = everyday_prompts(Words(), split=split)
        assert [prompt.domain for prompt in found] == [
            domain for domain in EVERYDAY_DOMAINS for _ in range(20)
        ]
        assert len({prompt.name for prompt in found}) == 160


def test_splits_have_no_prompt_in_common():
    tested = {prompt.digest for prompt in everyday_prompts(Words())}
    calibrating = {prompt.digest for prompt in everyday_prompts(Words(), split="validation")}
    assert len(tested) == len(calibrating) == 160
    assert not tested & calibrating
    names = {prompt.name for prompt in everyday_prompts(Words())}
    assert not names & {prompt.name for prompt in everyday_prompts(Words(), split="validation")}


def test_all_texts_differ():
    every = [written(one) for domain in EVERYDAY_DOMAINS for one in conversations(domain)]
    assert len(set(every)) == 320
    assert all(text == text.strip() for text in every)


@pytest.mark.parametrize("domain", EVERYDAY_DOMAINS)
def test_no_two_prompts_of_a_domain_share_a_long_run_of_words(domain):
    found = [runs(written(one)) for one in conversations(domain)]
    alike = [(a, b) for a, b in combinations(range(len(found)), 2) if found[a] & found[b]]
    assert alike == []


@pytest.mark.parametrize("domain", EVERYDAY_DOMAINS)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_each_split_has_short_and_long_prompts(domain, split):
    lengths = [length(written(one)) for one in everyday_conversations(domain, split)]
    assert sum(LONG <= each <= LONGEST for each in lengths) >= 3
    assert sum(20 <= each <= SHORT for each in lengths) >= 12
    assert all(20 <= each <= SHORT or LONG <= each <= LONGEST for each in lengths)


def test_conversations_alternate_and_end_with_the_user():
    """As strict chat templates demand: no system messages either."""
    several = 0
    for domain in EVERYDAY_DOMAINS:
        for messages in conversations(domain):
            roles = [message["role"] for message in messages]
            assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
            assert all(message["content"].strip() for message in messages)
            several += len(roles) > 1
            assert len(roles) == 1 or domain == "dialogue"
    assert several >= 15


def test_a_tokenizer_with_a_chat_template_gets_prompts_in_it():
    plain = everyday_prompts(Words())
    templated = everyday_prompts(ChatWords())
    assert all(p.tokens[0] == USER and p.tokens[-1] == ASSISTANT for p in templated)
    for one, other in zip(plain, templated, strict=True):
        assert one.name == other.name
        if other.domain != "dialogue":
            assert other.tokens == (USER, *one.tokens, ASSISTANT)
    assert any(prompt.tokens.count(ASSISTANT) > 1 for prompt in templated)


def test_the_form_can_be_chosen():
    assert everyday_prompts(ChatWords(), templated=False) == everyday_prompts(Words())
    assert everyday_prompts(ChatWords(), templated=True) == everyday_prompts(ChatWords())
    assert everyday_prompts(Words(), templated=False) == everyday_prompts(Words())
    with pytest.raises(InvalidRequest, match="no chat template"):
        everyday_prompts(Words(), templated=True)
    with pytest.raises(InvalidRequest, match="need a tokenizer"):
        everyday_prompts(None)


def test_a_plain_conversation_is_a_transcript():
    turns = [("user", "Hello"), ("assistant", "Good day."), ("user", "Tea?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert plain_text(messages) == "User: Hello\n\nAssistant: Good day.\n\nUser: Tea?\n\nAssistant:"
    assert plain_text(messages[:1]) == "Hello"


def test_domains_and_counts_can_be_chosen():
    found = everyday_prompts(Words(), domains=["sql", "code"], per_domain=3)
    assert [prompt.name for prompt in found] == [
        *("sql/21", "sql/22", "sql/23"),
        *("code/21", "code/22", "code/23"),
    ]
    assert len(everyday_prompts(Words(), domains=["sql"], per_domain=99)) == 20
    with pytest.raises(InvalidRequest, match=r"'poems'\. Known: summarise"):
        everyday_prompts(Words(), domains=["poems"])


def test_everyday_is_a_source_of_prompts():
    assert prompts_from("everyday", Words(), per_domain=20) == everyday_prompts(Words())
    found = prompts_from("everyday", ChatWords(), domains=["reading"], split="validation")
    assert found == everyday_prompts(
        ChatWords(), domains=["reading"], per_domain=4, split="validation"
    )
    assert has_splits("everyday")
    assert not has_splits("everyday.jsonl")


def test_prompts_can_be_cut_to_a_context():
    found = cut_everyday_prompts(Words(), 200, 3)
    assert [len(prompt.tokens) for prompt in found] == [200] * 3
    assert all(prompt.context == 200 for prompt in found)
    assert cut_everyday_prompts(Words(), 200, 2, start=1) == found[1:]
    whole = {prompt.name: prompt.tokens for prompt in everyday_prompts(Words())}
    assert all(prompt.tokens[-20:] == whole[prompt.name][-20:] for prompt in found)
    assert len({prompt.domain for prompt in cut_everyday_prompts(Words(), 200, 8)}) == 8
    assert len({prompt.tokens for prompt in cut_everyday_prompts(Words(), 1000, 320)}) == 320
    with pytest.raises(InvalidRequest, match="shorter context"):
        cut_everyday_prompts(Words(), 50_000, 1)
    with pytest.raises(InvalidRequest, match="320 everyday prompts, and 321"):
        cut_everyday_prompts(Words(), 200, 321)


def test_prompts_are_filled_up_with_others_of_their_domain():
    alone = everyday_prompts(ChatWords(), domains=["sql"], per_domain=3)
    two = everyday_prompts(ChatWords(), domains=["sql"], per_domain=3, before=2)
    filled = everyday_prompts(ChatWords(), domains=["sql"], per_domain=3, contexts=(0, 900))
    assert filled[:3] == alone
    for own, longer, full in zip(alone, two, filled[3:], strict=True):
        assert longer.tokens[-len(own.tokens) + 1 :] == own.tokens[1:]
        assert longer.tokens.count(USER) == full.tokens.count(USER) == 1
        assert 600 < len(full.tokens) <= 900
        assert (full.context, full.name) == (900, own.name.replace("/", "/900/"))
    (short,) = everyday_prompts(ChatWords(), domains=["sql"], per_domain=1, contexts=(5,))
    assert short.tokens == alone[0].tokens


def test_training_uses_the_validation_prompts():
    assert everyday_prompts(Words(), split="train") == everyday_prompts(Words(), split="validation")
