"""KNN-SSD: a set a domain, looked up by the prompt, and the mixed set when that fails."""

import sys
from dataclasses import replace

import pytest
import torch
from doubles.planted_labs import (
    FAMILIES,
    as_good_as_planted,
    keeps_tokens,
    planted_executor,
    planted_lab,
    planted_prompts,
)
from doubles.reference_data import REFERENCE
from doubles.strategies_worlds import outcome
from doubles.written_lab import (
    WrittenLab,
    context_at,
    plain_costs,
    prompts_of,
    small_shape,
    vector_of,
)

from specframe.contract.naming import strategy_from
from specframe.errors import InvalidConfig, InvalidRequest
from specframe.strategies.knn_ssd import KnnSsd, KnnSsdConfig
from specframe.strategies.shared.domains.looking_up import label_prompts
from specframe.strategies.shared.domains.lookup import Memory
from specframe.strategies.shared.domains.neighbours import GraphIndex
from specframe.strategies.shared.judging.find_set import judge_set
from specframe.strategies.shared.judging.prompt_split import MIXED, split_prompts
from specframe.strategies.shared.published import read_anchors, read_skip_sets
from specframe.types import Prompt, SkipSet, StopRule

LAYERS = 4
SHAPE = small_shape(LAYERS)
FREE = {"sql": [1, 3, 6], "story": [0, 3, 7], "sum": [2, 3, 5]}
LOSSES = {d: [0.0 if i in free else 0.3 for i in range(8)] for d, free in FREE.items()}
DOMAINS = list(FREE)
QUICK = KnnSsdConfig(search="local", evaluations=60, domain_evaluations=60, pooling="mean")


def written(losses=LOSSES, **given):
    return WrittenLab(SHAPE, losses, plain_costs(LAYERS), **given)


@pytest.fixture(scope="module")
def learnt():
    return KnnSsd(QUICK).calibrate(written(), prompts_of(DOMAINS, 8))


def configured(preset="best", **options):
    return strategy_from("knn-ssd", SHAPE, preset, options)


def context(states, length=30, round_index=0):
    return context_at(SHAPE, length, round=round_index, prompt_states={2 * LAYERS: states})


def prompt_like(tokens, rows=5):
    """States of a prompt whose pooled vector is that of these tokens."""
    return vector_of(tokens).repeat(rows, 1)


def only(prompts):
    """The domain that all of these share."""
    domains = {prompt.domain for prompt in prompts}
    return domains.pop() if len(domains) == 1 else None


def set_of(domain):
    return SkipSet.from_sublayers(LAYERS, FREE[domain])


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_domain_gets_the_set_that_costs_nothing_there(learnt, domain):
    assert learnt.found.sets[domain].skips == set_of(domain)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_new_prompt_is_drafted_with_its_domains_set(learnt, domain):
    live = learnt.start(SHAPE)
    plan = live.plan(context(prompt_like((DOMAINS.index(domain), 99, 7))))
    assert plan.skips == set_of(domain)
    assert (live.match.label, live.match.known) == (domain, True)


def test_a_prompt_of_no_domain_gets_the_mixed_set(learnt):
    live = learnt.start(SHAPE)
    stranger = torch.full((3, 8), -5.0)
    stranger[:, 6] = 30.0
    plan = live.plan(context(stranger))
    assert not live.match.known
    assert plan.skips == learnt.found.sets[MIXED].skips


def test_a_narrow_vote_gets_the_mixed_set(learnt):
    live = learnt.start(SHAPE)
    between = (vector_of((0, 99, 7)) + vector_of((1, 99, 7))) / 2
    live.plan(context(between[None]))
    assert not live.match.known


def test_a_set_that_fails_is_left_for_the_mixed_one(learnt):
    live = learnt.start(SHAPE)
    states = prompt_like((0, 99, 7))
    seen = []
    for i in range(30):
        plan = live.plan(context(states, 30, i))
        if plan.stop.max_tokens:
            seen.append(plan.skips)
            live.observe(outcome(plan, 0))
    assert seen[:12] == [set_of("sql")] * 12
    assert seen[12] == learnt.found.sets[MIXED].skips


def test_the_lookup_happens_once_a_request(learnt):
    live = learnt.start(SHAPE)
    first = live.plan(context(prompt_like((0, 99, 7))))
    again = live.plan(context(prompt_like((1, 99, 7)), round_index=1))
    assert again.skips == first.skips
    assert learnt.start(SHAPE).match is None
    assert learnt.start(SHAPE)._lookup is live._lookup


def test_held_out_prompts_measure_the_lookup(learnt):
    assert learnt.found.memory.accuracy == 1.0
    assert set(learnt.found.memory.reach) == set(DOMAINS)


def test_a_domain_starts_from_the_mixed_set():
    lab = written()
    found = KnnSsd(QUICK).calibrate(lab, prompts_of(DOMAINS, 12))
    of_sql = [skips for skips, seen in lab.asked if len(seen) > 1 and only(seen) == "sql"]
    assert of_sql[0] == found.found.sets[MIXED].skips


def test_a_domain_keeps_the_best_set_that_any_search_found():
    lab, split = written(), split_prompts(prompts_of(DOMAINS, 8))
    other = {"sql": "story", "story": "sum", "sum": "sql"}  # whose set each search happened on
    sets = {d: judge_set(lab, set_of(other[d]), split.of(d), 12) for d in DOMAINS}
    for domain in DOMAINS:
        assert KnnSsd(QUICK)._best_of(lab, split, domain, sets).skips == set_of(domain)
    kept = {domain: judge_set(lab, set_of(domain), split.of(domain), 12) for domain in DOMAINS}
    assert KnnSsd(QUICK)._best_of(lab, split, "sql", kept) is kept["sql"]


def test_searches_on_fewer_prompts_choose_and_judge_on_all_others():
    lab = written()
    KnnSsd(replace(QUICK, searched=1)).calibrate(lab, prompts_of(DOMAINS, 12))
    assert len({prompt for _, seen in lab.asked for prompt in seen}) == 3 * (1 + 3 + 3)


def test_the_seconds_are_shared_out():
    config = KnnSsdConfig(search="local", evaluations=40, domain_evaluations=40, seconds=0.0)
    found = KnnSsd(config).calibrate(written(), prompts_of(DOMAINS, 8))
    assert {name: judged.tried for name, judged in found.found.sets.items()} == dict.fromkeys(
        [MIXED, *DOMAINS], 1
    )


def test_unlabelled_prompts_are_clustered():
    prompts = [Prompt(p.tokens) for p in prompts_of(DOMAINS, 6)]
    labelled = label_prompts(written(), prompts, "mean")
    pairs = {(p.tokens[0], p.domain) for p in labelled}
    assert len(pairs) == len({domain for _, domain in pairs}) == 3


def test_some_prompts_with_a_domain_and_some_without_are_refused():
    prompts = [Prompt((1,), "sql"), Prompt((2,))]
    with pytest.raises(InvalidRequest, match="1 of 2"):
        label_prompts(written(), prompts, "mean")


def test_the_faithful_preset_follows_the_paper():
    config = configured("faithful").config
    assert (config.anchors, config.kind, config.neighbours) == (10, "centroids", 1)
    assert (config.metric, config.pooling, config.centred) == ("cosine", "normed-mean", False)
    assert (config.stop, config.longest, config.confidence) == ("confidence", 12, 0.8)
    assert (config.search, config.domain_evaluations, config.mixed) == ("bayes", 1000, False)


def test_the_faithful_preset_accepts_every_prompt_and_never_declines():
    config = configured("faithful", search="local", domain_evaluations="3", prompts="2").config
    found = KnnSsd(config).calibrate(written(), prompts_of(DOMAINS, 4))
    assert set(found.found.sets) == set(DOMAINS)
    live = found.start(SHAPE)
    plan = live.plan(context(torch.randn(4, 8, generator=torch.Generator().manual_seed(1))))
    assert live.match.known
    assert plan.stop == StopRule(12, confidence=0.8)


def test_the_graph_index_is_a_setting_and_plans_the_same(learnt):
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: pip install 'specframe[ann]'")
    assert configured(index="graph").config.index == "graph"
    graph = learnt.asking(index="graph")
    assert isinstance(graph.lookup._index, GraphIndex)
    for domain in range(3):
        states = prompt_like((domain, 77, 7))
        one, other = graph.start(SHAPE), learnt.start(SHAPE)
        assert one.plan(context(states)) == other.plan(context(states))
        assert one.match.label == other.match.label == DOMAINS[domain]
        assert one.match.distance == pytest.approx(other.match.distance, abs=1e-5)


def test_a_graph_without_its_library_names_the_remedy(learnt, monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(InvalidConfig, match=r"pip install 'specframe\[ann\]'"):
        learnt.asking(index="graph")


def test_skip_sets_and_figures_are_reported(learnt):
    assert learnt.skip_sets() == learnt.found.sets
    assert list(learnt.figures()) == ["best_so_far", "lookup_accuracy", "anchors", "ended"]
    assert (KnnSsd().skip_sets(), KnnSsd().figures()) == ({}, {})


def test_a_domain_may_not_have_the_name_of_the_fallback():
    named = [Prompt((1, i), MIXED) for i in range(6)]
    with pytest.raises(InvalidRequest, match="'mixed' names"):
        label_prompts(None, named, "mean")


def test_only_pooled_states_are_captured():
    assert KnnSsd(KnnSsdConfig(pooling="last-4")).needs.prompt_rows == 4
    assert KnnSsd(KnnSsdConfig()).needs.prompt == (-1,)


def test_a_strategy_is_made_from_the_authors_files():
    folder = REFERENCE / "published"
    if not folder.is_dir():
        pytest.skip(f"the published anchors and sets are not at {folder}")
    prefix = "knn-ssd_llama-2-13b_"
    anchors = read_anchors(folder / f"{prefix}anchors.npy", folder / f"{prefix}labels.npy")
    sets = read_skip_sets(folder / f"{prefix}skip.json", "knn-ssd")
    strategy = KnnSsd.from_published(Memory.of(anchors), sets, 40)
    shape = small_shape(40)
    noise = 0.2 * torch.randn(50, 5120, generator=torch.Generator().manual_seed(3))
    by_domain = {published.domain: published.skips(40) for published in sets}
    for vector, label, off in zip(anchors.vectors, anchors.labels, noise, strict=True):
        live = strategy.start(shape)
        near = vector + off * vector.norm() / 5120**0.5
        plan = live.plan(context_at(shape, 9, prompt_states={80: near[None]}))
        assert live.match.label == label
        assert plan.skips == by_domain[label]
        assert plan.stop == StopRule(12, confidence=0.8)


def test_anchors_without_a_set_are_refused():
    memory = Memory(torch.ones(1, 8), ("story",), torch.zeros(8))
    with pytest.raises(InvalidRequest, match="story"):
        KnnSsd.from_published(memory, (), LAYERS)


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=() if f == "llama" else pytest.mark.slow) for f in FAMILIES],
)
def test_the_planted_set_is_recovered_in_each_domain_and_changes_no_token(family):
    prompts = planted_prompts(("low", "high"), each=8)
    config = KnnSsdConfig(search="local", evaluations=70, domain_evaluations=20)
    strategy = KnnSsd(config).calibrate(planted_lab(family), prompts)
    for name, judged in strategy.found.sets.items():
        assert as_good_as_planted(judged), (name, list(judged.skips), judged.acceptance)
    assert keeps_tokens(planted_executor(family), strategy, (prompts[0], prompts[-1]))


def test_without_states_the_mixed_set_is_used(learnt):
    blind = context_at(SHAPE, 30)
    assert learnt.start(SHAPE).plan(blind).skips == learnt.found.sets[MIXED].skips
