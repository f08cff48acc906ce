"""Prompts of a file: as comparisons read it, and cut to a context."""

import json

import pytest
from doubles.reference_data import REFERENCE
from doubles.word_tokenizer import Words

from specframe.errors import InvalidRequest
from specframe.prompts.files import cut_prompts
from specframe.prompts.source import prompts_from


def letters(text):
    """A character a token."""
    return {"input_ids": [ord(letter) for letter in text]}


def tokens_of(prompts):
    return [prompt.tokens for prompt in prompts]


def test_prompts_come_from_lines_with_their_domains(tmp_path):
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": "a bb", "domain": "x"}, {"prompt": "c", "domain": "y"}, {"prompt": "dd d"}]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = prompts_from(str(path), Words())
    assert [(p.domain, p.tokens) for p in found] == [("x", (1, 2)), ("y", (1,)), ("", (2, 1))]
    assert [p.domain for p in prompts_from(str(path), Words(), domains=["y"])] == ["y"]


def test_spec_bench_questions_are_read_by_their_first_turn(tmp_path):
    path = tmp_path / "question.jsonl"
    lines = [
        {"question_id": 81, "category": "writing", "turns": ["a b", "c"]},
        {"question_id": 200, "category": "translation", "turns": ["dd"]},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = prompts_from(str(path), Words())
    assert [(p.name, p.domain) for p in found] == [
        ("mt_bench/81", "mt_bench"),
        ("translation/200", "translation"),
    ]


def test_speed_bench_categories_are_domains(tmp_path):
    path = tmp_path / "qualitative.jsonl"
    keys = {"source": "s", "src_id": "1", "difficulty": "", "multiturn": False}
    lines = [
        {"question_id": "q1", "category": "math", "sub_category": "a", "turns": ["a bb"], **keys},
        {"question_id": "q2", "category": "rag", "sub_category": "", "turns": ["c", "d"], **keys},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = prompts_from(str(path), Words())
    assert [(p.name, p.domain, p.tokens) for p in found] == [
        ("math/q1", "math", (1, 2)),
        ("rag/q2", "rag", (1,)),
    ]
    left_out = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE USING SPECDEC_BENCH"
    path.write_text(json.dumps(lines[0] | {"turns": [left_out]}))
    with pytest.raises(InvalidRequest, match=r"Line 1 .* placeholder"):
        prompts_from(str(path), Words())


def test_unreadable_prompts_say_what_is_wrong_and_where(tmp_path):
    with pytest.raises(InvalidRequest, match="cannot be read"):
        prompts_from(str(tmp_path / "none.jsonl"), Words())
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a"}\n{broken')
    with pytest.raises(InvalidRequest, match="line 2"):
        prompts_from(str(path), Words())
    path.write_text('{"question": "a"}')
    with pytest.raises(InvalidRequest, match="neither 'prompt' nor 'turns'"):
        prompts_from(str(path), Words())


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'["a"]', "Line 3 of the prompts must be a JSON object"),
        (b'{"prompt": null}', "'prompt' in line 3 of the prompts must be text. Got None"),
        (b'{"turns": []}', "first of 'turns' in line 3 of the prompts must be text"),
        (b'{"turns": [["a"]]}', "first of 'turns' in line 3"),
        (b'{"question": "a"}', "Line 3 of the prompts has neither"),
        (b'{"prompt": "\xff"}', "line 3: not UTF-8"),
    ],
)
def test_a_bad_line_is_named_by_its_number_in_the_file(tmp_path, line, complaint):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b'{"prompt": "a"}\r\n\n' + line)
    with pytest.raises(InvalidRequest, match=complaint):
        prompts_from(str(path), Words())


def test_the_published_questions_are_read():
    path = REFERENCE / "spec_bench_question.jsonl"
    if not path.exists():
        pytest.skip("the published questions are not at hand")
    found = prompts_from(str(path), Words(), per_domain=80)
    assert len(found) == 480
    assert all(prompt.tokens for prompt in found)
    assert len({prompt.domain for prompt in found}) == 6


def test_a_prompt_file_gives_its_lines_in_order(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("abc\n\ndefgh\nij\n")

    first = cut_prompts(path, letters, 3, 2)
    assert tokens_of(first) == [tuple(map(ord, "abc")), tuple(map(ord, "fgh"))]
    assert [(prompt.name, prompt.context) for prompt in first] == [("1", 3), ("3", 3)]
    assert tokens_of(cut_prompts(path, letters, 3, 1, start=2)) == [tuple(map(ord, "ij"))]
    with pytest.raises(InvalidRequest, match="3 prompts, and 4 are needed"):
        cut_prompts(path, letters, 3, 4)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        cut_prompts(tmp_path / "none", letters, 3, 1)
    with pytest.raises(InvalidRequest, match="needs a tokenizer"):
        cut_prompts(path, None, 3, 1)
    path.write_bytes(b"abc\n\nd\xff")
    with pytest.raises(InvalidRequest, match="line 3: not UTF-8"):
        cut_prompts(path, letters, 3, 1)


def test_a_prompt_file_may_be_one_that_comparisons_read(tmp_path):
    path = tmp_path / "prompts.jsonl"
    lines = ('{"prompt": "abc", "domain": "x"}', '{"question": "d"}', "[1]", '{"prompt": 2}', "{e")
    path.write_text("\r\n".join(lines))

    wanted = [tuple(map(ord, text)) for text in ("abc", *lines[1:])]
    assert tokens_of(cut_prompts(path, letters, 99, 5)) == wanted
    path.write_text('{"question_id": 1, "category": "qa", "turns": ["why", "and then"]}')
    assert tokens_of(cut_prompts(path, letters, 99, 1)) == [tuple(map(ord, "why"))]
