"""Studies on a model that is not the testbed: its prompts, its settings and its skip sets."""

from types import SimpleNamespace

import numpy as np
import pytest
from doubles.strategies_worlds import prices
from doubles.word_tokenizer import ChatWords

from specframe.prompts.everyday import EVERYDAY_DOMAINS
from specframe.studies import hidden_space
from specframe.studies.domain_overlap import ALONE, IN_TURN, JOINED, two_everyday_tasks
from specframe.studies.framework.registry import find_study, study_names
from specframe.studies.framework.running import duration, settings_of
from specframe.studies.worlds.every_plan import EveryPlan, pooled
from specframe.studies.worlds.texts import prompts_at, texts_of
from specframe.testbed.corpus import DOMAINS, HELD_OUT

REAL = "smollm2"
USER, ASSISTANT = ChatWords.roles["user"], ChatWords.roles["assistant"]


def test_real_models_get_everyday_prompts_of_similar_domains():
    own, real = texts_of("testbed"), texts_of(REAL)
    assert (own.source, own.known, own.held_out) == ("testbed", DOMAINS, HELD_OUT)
    assert real.source == "everyday"
    assert {*real.known, *real.held_out} < set(EVERYDAY_DOMAINS)
    assert (len(real.known), real.held_out) == (len(DOMAINS), HELD_OUT)


@pytest.mark.parametrize("name", study_names())
def test_every_study_takes_a_real_model_and_gives_its_duration(name):
    study = find_study(name)
    settings = settings_of(study, True, REAL)
    assert settings.model == REAL
    for key, value in study.real.items():
        assert getattr(settings, key) == value
    assert settings_of(study, True).model == "testbed"
    assert ("min on one core" in duration(study, True, REAL)) == (study.minutes is not None)
    minutes = study.testbed_minutes
    usual = "a minute or two" if minutes is None else f"about {minutes} min on one core"
    assert duration(study, True) == usual
    assert duration(study, False) == f"longer than with --quick ({usual})"


def test_prompts_of_one_length_alternate_between_domains():
    found = prompts_at(REAL, ChatWords(), 600, 7, 1)
    known = texts_of(REAL).known
    assert [prompt.domain for prompt in found] == [*known[1:], *known[:3]]
    assert all(400 < len(prompt.tokens) <= 600 for prompt in found)
    assert prompts_at(REAL, ChatWords(), 600, 3, 5) == found[4:]


def test_two_everyday_tasks_are_joined_or_follow_each_other():
    def written(form):
        return two_everyday_tasks(ChatWords(), form, "sql", "stories", 0, "a bb")

    alone, joined, in_turn = (written(form) for form in (ALONE, JOINED, IN_TURN))
    assert [text.count(USER) for text in (alone, joined, in_turn)] == [1, 1, 2]
    assert in_turn[-len(alone) :] == alone
    assert in_turn[-len(alone) - 3 : -len(alone)] == (ASSISTANT, 1, 2)
    assert joined[-len(alone) + 1 :] == alone[1:]


def test_everyday_prompts_are_written_in_every_style():
    rig = SimpleNamespace(name=REAL, tokenizer=ChatWords())
    lengths = {
        style: [len(p.tokens) for p in hidden_space.written(rig, style, 2, "test")]
        for style in hidden_space.STYLES
    }
    assert all(len(found) == 2 * len(texts_of(REAL).known) for found in lengths.values())
    assert sum(lengths["template, exemplars"]) > 2 * sum(lengths["template"])
    assert sum(lengths["plain"]) < sum(lengths["template"])


def test_pooled_answers_keep_the_sets_that_were_tried_on_all():
    shares = np.array([0.5, 0.9, 0.99])
    one = EveryPlan.of((0, 3, 12), shares, 50, prices(3), 40, 4)
    other = EveryPlan.of((3, 48, 0), shares, 50, prices(3), 40, 4)
    both = pooled([one, other])
    assert both.sets == [0, 3]
    mean = 2.0 / (1.0 / one.speed((3, 2)) + 1.0 / other.speed((3, 2)))
    assert both.speed((3, 2)) == pytest.approx(mean)
    assert one.best()[0] in one.sets
