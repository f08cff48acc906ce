import re
import sqlite3

import pytest

from specframe.testbed.corpus import DOMAINS, HELD_OUT, NAMES, conversation, document, split_of
from specframe.testbed.corpus.arithmetic import MOST
from specframe.testbed.corpus.lexicon import family_names, given_names, place_names
from specframe.testbed.corpus.translation import stems
from specframe.testbed.evaluation.scoring import difference, repeat4, score
from specframe.testbed.prompts import suite

_SPLITS = ("train", "validation", "test")


def _people(text: str) -> set[tuple[str, str]]:
    given, family = set(given_names()), set(family_names())
    pairs = {tuple(match) for match in re.findall(r"(?=\b([A-Z][a-z]+) ([A-Z][a-z]+)\b)", text)}
    return {pair for pair in pairs if pair[0] in given and pair[1] in family}


@pytest.mark.parametrize("domain", NAMES)
def test_equal_arguments_give_the_same_text(domain: str) -> None:
    assert document(domain, "test", 7) == document(domain, "test", 7)
    assert document(domain, "test", 7) != document(domain, "test", 8)


@pytest.mark.parametrize("domain", NAMES)
@pytest.mark.parametrize("split", _SPLITS)
def test_every_prompt_holds_one_full_name_of_its_split(domain: str, split: str) -> None:
    for index in range(40):
        people = _people(document(domain, split, index).exercise.prompt)
        assert {split_of(*pair) for pair in people} == {split}
        assert len(people) == 1


@pytest.mark.parametrize("domain", NAMES)
def test_the_reference_answer_scores_full_marks(domain: str) -> None:
    for index in range(40):
        one = document(domain, "test", index)
        assert score(one, one.exercise.answer) == 1.0
        assert score(one, "") == 0.0


@pytest.mark.parametrize("domain", NAMES)
def test_an_answer_to_another_prompt_scores_less(domain: str) -> None:
    pairs = [
        (document(domain, "test", index), document(domain, "test", index + 1))
        for index in range(40)
    ]
    scores = [score(one, other.exercise.answer) for one, other in pairs]
    assert sum(scores) / len(scores) < 0.5


@pytest.mark.parametrize("domain", DOMAINS)
def test_prompts_do_not_repeat(domain: str) -> None:
    texts = {document(domain, "train", index).exercise.prompt for index in range(1500)}
    assert len(texts) == 1500


def test_there_are_thousands_of_words() -> None:
    names = len(given_names()) + len(family_names()) + len(place_names())
    velan = [stem for synonyms in stems().values() for stem in synonyms]
    assert names > 3000
    assert len(velan) == len(set(velan)) > 300


_SIGNS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


def _steps(answer: str) -> list[tuple[str, ...]]:
    """The sums of an answer; each of them must be right."""
    steps = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", answer)
    for before, sign, operand, after in steps:
        assert _SIGNS[sign](int(before), int(operand)) == int(after)
    return steps


@pytest.mark.parametrize("domain", ["arithmetic", "sums"])
def test_no_number_exceeds_the_largest_one_taught(domain: str) -> None:
    for index in range(200):
        for before, _, _, after in _steps(document(domain, "train", index).exercise.answer):
            assert 1 <= min(int(before), int(after)) <= max(int(before), int(after)) <= MOST


def test_arithmetic_steps_hold_and_end_in_the_reference_number() -> None:
    for index in range(200):
        exercise = document("arithmetic", "test", index).exercise
        steps = _steps(exercise.answer)
        assert len(steps) in (2, 3)
        assert exercise.checks == ((steps[-1][3],),)


def test_reference_queries_run_on_the_schema_of_their_prompt() -> None:
    for index in range(200):
        exercise = document("sql", "test", index).exercise
        database = sqlite3.connect(":memory:")
        for name, columns in re.findall(r"(\w+) \(([\w, ]+)\)", exercise.prompt):
            database.execute(f"CREATE TABLE {name} ({columns})")
        for (query,) in exercise.checks:
            database.execute(query)
        database.close()


def test_velan_puts_the_verb_last_and_marks_the_object() -> None:
    for index in range(100):
        answer = document("translation", "test", index).exercise.answer
        for clause in answer.rstrip(".").split(". "):
            words = clause.split(" ")
            assert re.search(r"'(it|o|us)('ke|'ta|'mi)?$", words[-1])
            assert sum(re.search(r"'[ae]n$", word) is not None for word in words) == 1


def test_velan_case_follows_the_last_vowel_of_the_stem() -> None:
    for index in range(100):
        answer = document("translation", "test", index).exercise.answer
        for stem, vowel in re.findall(r"(\w+)(?:'ri)?'([ae])[nl]\b", answer):
            assert vowel == ("a" if re.findall("[aeiou]", stem)[-1] in "aou" else "e")


def test_exemplars_are_of_the_same_domain_and_differ_from_the_question() -> None:
    found = conversation("sql", "test", 3, exemplars=3)
    assert len({one.exercise.prompt for one in (*found.exemplars, found.document)}) == 4
    assert {one.domain for one in found.exemplars} == {"sql"}


def test_held_out_domains_have_prompts() -> None:
    for domain in HELD_OUT:
        prompt = suite(domain, 1)[0]
        assert prompt.reference
        assert prompt.messages[-1]["content"] == prompt.text


def test_a_translation_is_scored_word_by_word_with_synonyms() -> None:
    one = document("translation", "test", 0)
    words = one.exercise.answer.split(" ")
    assert score(one, " ".join(words[1:])) < 1.0
    assert score(one, " ".join([*words, "na"])) < 1.0
    synonyms = " ".join(accepted[-1] for accepted in one.exercise.checks)
    assert score(one, synonyms) == 1.0


def test_repeat4_counts_four_grams_seen_before() -> None:
    assert repeat4([1, 2, 3, 4, 5, 6]) == 0.0
    assert repeat4([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repeat4([1, 2]) == 0.0


def test_difference_compares_position_by_position() -> None:
    assert difference([1, 2, 3], [1, 2, 3]) == 0.0
    assert difference([1, 2, 3, 4], [1, 9]) == 0.75
