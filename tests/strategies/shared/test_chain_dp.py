"""The program over hidden states: branches side by side are what each would be alone."""

import itertools

import pytest
import torch
from doubles.strategies_worlds import first_token_acceptance, world

from specframe.contract.selector import Needs
from specframe.errors import InvalidConfig
from specframe.strategies.shared.streams.agreement import compare_heads
from specframe.strategies.shared.streams.chain_dp import (
    ChainRules,
    Stretch,
    best_chains,
    branches_by_stretch,
    stretches_between,
)
from specframe.testing.architectures import tiny_model
from specframe.testing.planted import planted_llama
from specframe.types import ModelShape, SkipSet

SMALL = ModelShape(4, 32, 61, 4, 2, 8, 48, 128)


@pytest.fixture(scope="module")
def small():
    noise = {b: 0.3 * (b % 3) for b in range(8)}
    return world(planted_llama(SMALL, noise, dtype=torch.float64))


def unit_stretches(size, weights=(1, 1)):
    return [Stretch(b, b + 1, weights[b % 2], may_skip=b < size - 2) for b in range(2, size)]


def useful_stretches(found):
    return stretches_between(found.references(4), (1,) * found.size, 2)


def naive(found, rows, stretches, rules):
    """The same recurrence on paths that are recomputed from the start, each alone."""

    def score(skips, depth):
        state = found.alone(skips, rows).taps[depth][0]
        return float(torch.cosine_similarity(state, found.references(rows)[depth], dim=-1).sum())

    row = {0: 0}  # skipped weight -> bits
    for stretch in stretches:
        best = {}
        for weight, bits in sorted(row.items()):
            for kind in ("run", "skip"):
                if kind == "skip" and not stretch.may_skip:
                    continue
                at = weight + (stretch.weight if kind == "skip" else 0)
                if at > rules.budget:
                    continue
                path = bits | (stretch.bits if kind == "skip" else 0)
                value = score(SkipSet(found.size, path), stretch.stop)
                if value < rules.similarity * rows:
                    continue
                if at not in best or value > best[at][0] + 1e-12:
                    best[at] = (value, path)
        row = {weight: bits for weight, (_, bits) in best.items()}
    return row


@pytest.mark.parametrize(
    ("weights", "similarity"), [((1, 1), -1.0), ((2, 1), 0.97), ((1, 3), -1.0), ((1, 3), 0.97)]
)
def test_the_table_is_that_of_paths_computed_one_by_one(small, weights, similarity):
    stretches = unit_stretches(8, weights)
    rules = ChainRules(sum(weights) * 2, similarity=similarity)
    chains = best_chains(small.probe, small.references(5), stretches, rules)
    expected = naive(small, 5, stretches, rules)
    assert dict(zip(chains.weights, chains.bits, strict=True)) == expected


def test_states_of_branches_side_by_side_are_those_of_the_draft_alone(small):
    chains = best_chains(
        small.probe, small.references(6), unit_stretches(8), ChainRules(6, similarity=-1.0)
    )
    assert len(chains.bits) == 5
    for bits, state in zip(chains.bits, chains.states, strict=True):
        alone = small.alone(SkipSet(8, bits), 6).hidden[0]
        torch.testing.assert_close(state, alone, atol=1e-6, rtol=0)


def test_seeing_the_target_s_keys_gives_the_first_token_a_draft_would_choose(small):
    rules = ChainRules(6, similarity=-1.0, sight="target")
    chains = best_chains(small.probe, small.references(6), unit_stretches(8), rules)
    agreement = compare_heads(small.probe, chains.states, small.references(6)[8])
    for bits, share in zip(chains.bits, agreement.greedy, strict=True):
        assert share == pytest.approx(first_token_acceptance(small, SkipSet(8, bits), 6))


def test_many_branches_are_cut_into_narrow_calls_with_the_same_states(small, monkeypatch):
    rules = ChainRules(6, similarity=-1.0)
    whole = best_chains(small.probe, small.references(6), unit_stretches(8), rules)
    monkeypatch.setattr("specframe.strategies.shared.streams.chain_dp.ATTENTION_ROWS", 7)
    cut = best_chains(small.probe, small.references(6), unit_stretches(8), rules)
    assert cut.bits == whole.bits
    torch.testing.assert_close(cut.states, whole.states, atol=1e-9, rtol=0)


def test_the_path_that_skips_nothing_is_the_target(small):
    chains = best_chains(small.probe, small.references(4), unit_stretches(8), ChainRules(3))
    assert chains.bits[0] == 0
    assert chains.similarities[0] == pytest.approx(1.0)
    assert torch.equal(chains.states[0], small.references(4)[8])


def test_a_similarity_that_no_path_keeps_leaves_only_the_target(small):
    rules = ChainRules(6, similarity=1.0 - 1e-9)
    chains = best_chains(small.probe, small.references(4), unit_stretches(8), rules)
    planted = {b for b in range(8) if b % 3 == 0}
    assert chains.bits[0] == 0
    assert all(set(SkipSet(8, bits)) <= planted for bits in chains.bits)


def test_weights_that_are_no_whole_numbers_compete_within_classes(small):
    stretches = [Stretch(s.start, s.stop, 1.37 * s.weight, s.may_skip) for s in unit_stretches(8)]
    scaled = best_chains(
        small.probe, small.references(5), stretches, ChainRules(1.37 * 4, unit=1.37)
    )
    whole = best_chains(small.probe, small.references(5), unit_stretches(8), ChainRules(4))
    assert scaled.bits == whole.bits


def test_layers_whose_parts_read_the_same_stream_are_taken_whole(small):
    parallel = world(tiny_model("phi").double())
    widths = {stretch.stop - stretch.start for stretch in useful_stretches(parallel)}
    assert widths == {2}
    assert useful_stretches(small) == unit_stretches(8)


def test_whole_layers_are_skipped_as_one(small):
    layers = [Stretch(2 * i, 2 * i + 2, 1) for i in range(4)]
    chains = best_chains(small.probe, small.references(1), layers, ChainRules(2, ties_skip=True))
    for bits in chains.bits:
        assert SkipSet(8, bits).attention == SkipSet(8, bits).mlp


def test_a_limited_number_of_paths_covers_light_and_heavy_ones(small):
    whole = best_chains(small.probe, small.references(3), unit_stretches(8), ChainRules(7))
    few = best_chains(small.probe, small.references(3), unit_stretches(8), ChainRules(7, widest=3))
    assert len(few.bits) == 3 < len(whole.bits)
    assert few.weights[0] == whole.weights[0]
    assert few.weights[-1] > few.weights[1]
    assert sum(branches_by_stretch(unit_stretches(8), ChainRules(7, widest=3), rows=16)) < sum(
        branches_by_stretch(unit_stretches(8), ChainRules(7), rows=16)
    )


class CountingProbe:
    """Notes the rows of every walk."""

    def __init__(self, probe):
        self.probe, self.committed, self.rows = probe, probe.committed, []

    def walk(self, step, **how):
        self.rows.append(step.rows)
        return self.probe.walk(step, **how)


def test_the_price_in_branches_is_never_less_than_what_runs(small):
    for weights, budget in itertools.product([(1, 1), (2, 1), (1.3, 0.7)], [2, 4, 7]):
        stretches = unit_stretches(8, weights)
        rules = ChainRules(budget, unit=min(weights), similarity=-1.0)
        counts = branches_by_stretch(stretches, rules, rows=3)
        counting = CountingProbe(small.probe)
        best_chains(counting, small.references(3), stretches, rules)
        ran = counting.rows
        assert sum(ran) <= 3 * sum(counts)
        if weights == (1, 1):
            assert sum(ran) == 3 * sum(counts)


@pytest.mark.parametrize("family", ["qwen3", "mistral", "granite", "gpt2", "gemma2", "phi"])
def test_branches_side_by_side_hold_for_other_architectures(family):
    found = world(tiny_model(family).double())
    rules = ChainRules(4, similarity=-1.0)
    chains = best_chains(found.probe, found.references(4), useful_stretches(found), rules)
    assert len(chains.bits) > 2
    for bits, state in zip(chains.bits, chains.states, strict=True):
        alone = found.alone(SkipSet(found.size, bits), 4).hidden[0]
        torch.testing.assert_close(state, alone, atol=1e-4, rtol=0)


def test_agreement_and_overlap_are_those_of_the_two_distributions(small):
    drafts = torch.stack([small.references(4)[8], small.references(4)[4]])
    agreement = compare_heads(small.probe, drafts, small.references(4)[8])
    logits = torch.cat([small.probe.logits(draft[None]) for draft in drafts])
    laws = torch.softmax(logits, dim=-1)
    assert agreement.greedy[0] == 1.0
    assert agreement.overlap[0] == pytest.approx(1.0)
    same = (logits[1].argmax(-1) == logits[0].argmax(-1)).float().mean()
    assert agreement.greedy[1] == pytest.approx(float(same))
    assert agreement.overlap[1] == pytest.approx(float(laws.min(0).values.sum(-1).mean()))


@pytest.mark.parametrize("wrong", [{"unit": 0.0}, {"sight": "both"}])
def test_rules_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidConfig, match="must be"):
        ChainRules(3, **wrong)


def test_states_of_every_depth_can_be_captured():
    assert Needs.depths(Needs.every, SMALL) == frozenset(range(9))
