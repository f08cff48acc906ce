"""The acceptance rules alone, enumerated in full: any draft gives the target's distribution."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specframe.core.draft import _draw_without_replacement
from specframe.core.sampling import Law
from specframe.core.verify import (
    NO_TOKEN,
    acceptance,
    residual,
    verify_greedy,
    verify_sampled,
    without,
)
from specframe.testing import exact_law
from specframe.types import Draft

EXACT = 1e-12


def law_of(weights):
    return torch.tensor(weights, dtype=torch.float64) / sum(weights)


def laws(size, seed):
    """Random distributions with zeros in them."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(0, 5, (size,), generator=generator).tolist()
    weights[seed % size] += 1
    return law_of(weights)


def one_round(p, q, width, after):
    """The joint distribution of (first token, second token or None) of a round; siblings from q.

    `after[t]` is the target's distribution after token t.
    """

    def run(choose):
        count = min(width, int((q > 0).sum()))
        drawn = _draw_without_replacement(Law(choose=choose), q, count)
        draft = Draft(tuple(drawn), (-1,) * count, (), {-1: q})
        rows = torch.stack([p, *(after[token] for token in drawn)])
        return ended(draft, verify_sampled(draft, rows, choose))

    return exact_law(run)


def ended(draft, verdict):
    if not verdict.path:
        return verdict.bonus, None
    return draft.tokens[verdict.path[0]], verdict.bonus


def firsts(joint, size):
    found = [0.0] * size
    for (first, _), probability in joint.items():
        found[first] += probability
    return found


def point_masses(size):
    """Token t + 1 always follows t: a wrong row is noticed, and there are no more branches."""
    return torch.eye(size, dtype=torch.float64).roll(1, dims=1)


def assert_first_token_follows(p, q, width):
    size = len(p)
    joint = one_round(p, q, width, point_masses(size))
    assert firsts(joint, size) == pytest.approx(p.tolist(), abs=EXACT)
    assert all(second in (None, (first + 1) % size) for first, second in joint)
    return joint


@st.composite
def pairs(draw, largest):
    size = draw(st.integers(1, largest))
    weights = st.lists(st.integers(0, 9), min_size=size, max_size=size).filter(any)
    return law_of(draw(weights)), law_of(draw(weights))


@given(pairs(largest=4), st.integers(1, 4))
def test_the_first_token_follows_the_target(pair, width):
    assert_first_token_follows(*pair, width)


@pytest.mark.slow
@given(pairs(largest=6), st.integers(1, 4))
def test_the_first_token_follows_the_target_up_to_six_tokens(pair, width):
    assert_first_token_follows(*pair, width)


NAMED = {
    "equal laws": ([3, 1, 4, 1, 5, 9], [3, 1, 4, 1, 5, 9]),
    "disjoint supports": ([2, 3, 1, 0, 0, 0], [0, 0, 0, 1, 4, 2]),
    "tokens without a chance in the target": ([0, 3, 0, 2, 0, 1], [1, 1, 1, 1, 1, 1]),
    "tokens without a chance in the draft": ([1, 1, 1, 1, 1, 1], [0, 3, 0, 2, 0, 1]),
    "a certain target": ([0, 0, 1, 0, 0, 0], [3, 1, 1, 1, 1, 1]),
    "a certain draft": ([3, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0]),
    "opposite slopes": ([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]),
    "far too sure": ([1, 1, 1, 1, 1, 1], [10**9, 1, 1, 1, 1, 1]),
}


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMED)
def test_named_distributions_of_six_tokens(name, width):
    p, q = map(law_of, NAMED[name])
    assert_first_token_follows(p, q, width)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
def test_the_token_after_an_accepted_one_follows_its_own_distribution(size, width, seed):
    p, q = laws(size, seed), laws(size, seed + 1)
    after = torch.stack([laws(size, seed + 2 + token) for token in range(size)])
    joint = one_round(p, q, width, after)
    for token in range(size):
        accepted = {s: joint[f, s] for f, s in joint if f == token and s is not None}
        share = sum(accepted.values())
        for second, probability in accepted.items():
            assert probability == pytest.approx(share * float(after[token, second]), abs=EXACT)


@given(pairs(largest=5), st.integers(0, 4), st.permutations(range(5)))
def test_deterministic_candidates_count_as_point_masses(pair, count, order):
    p, _ = pair
    size = len(p)
    candidates = [token for token in order if token < size][:count]
    draft = Draft(tuple(candidates), (-1,) * len(candidates), ())
    rows = torch.stack([p, *point_masses(size)[candidates]])
    joint = exact_law(lambda choose: ended(draft, verify_sampled(draft, rows, choose)))
    assert firsts(joint, size) == pytest.approx(p.tolist(), abs=EXACT)
    stood = sum(chance for (_, second), chance in joint.items() if second is not None)
    assert stood == pytest.approx(sum(p[candidates].tolist()), abs=EXACT)


def test_a_draft_with_the_targets_distribution_is_never_rejected():
    p = law_of([3, 1, 0, 2])
    for width in (1, 2, 3):
        assert all(second is not None for _, second in one_round(p, p, width, point_masses(4)))


def test_a_draft_on_other_tokens_is_never_accepted():
    p, q = law_of([1, 2, 0, 0]), law_of([0, 0, 2, 1])
    for width in (1, 2):
        assert all(second is None for _, second in one_round(p, q, width, point_masses(4)))


@given(pairs(largest=5))
def test_one_candidate_is_accepted_as_often_as_the_distributions_overlap(pair):
    p, q = pair
    joint = one_round(p, q, 1, point_masses(len(p)))
    stood = sum(chance for (_, second), chance in joint.items() if second is not None)
    assert stood == pytest.approx(float(torch.minimum(p, q).sum()), abs=EXACT)


@given(pairs(largest=3), st.integers(1, 2))
def test_more_siblings_are_accepted_at_least_as_often(pair, width):
    p, q = pair
    shares = []
    for siblings in (width, width + 1):
        joint = one_round(p, q, siblings, point_masses(len(p)))
        shares.append(sum(chance for (_, second), chance in joint.items() if second is not None))
    assert shares[1] >= shares[0] - EXACT


def test_in_float32_the_distribution_is_right_to_float32():
    p, q = (law_of(weights).float() for weights in NAMED["opposite slopes"])
    joint = one_round(p, q, 3, point_masses(6).float())
    assert firsts(joint, 6) == pytest.approx(p.tolist(), abs=1e-6)


def test_rejection_by_rounding_alone_falls_back_to_the_target():
    p = law_of([1, 2, 3])
    assert torch.equal(residual(p, p.clone(), 1), p)


def test_a_drawn_token_is_not_drawn_again():
    q = law_of([1, 2, 1])
    assert without(q, 1).tolist() == [0.5, 0.0, 0.5]
    assert without(law_of([0, 1]), 1).tolist() == [0.0, 0.0]


def test_acceptance_is_the_ratio_capped_at_one():
    p, q = law_of([1, 3]), law_of([1, 1])
    assert acceptance(p, q, 0) == pytest.approx(0.5)
    assert acceptance(p, q, 1) == 1.0
    assert acceptance(p, None, 0) == pytest.approx(0.25)


# greedy: tree of nodes 0-1-2 with leaves 3 under the root and 4 under node 0

TREE = Draft((7, 8, 9, 5, 6), (-1, 0, 1, -1, 0), ())


@pytest.mark.parametrize(
    ("decided", "path", "bonus"),
    [
        ([7, 8, 9, 1, 2, 3], (0, 1, 2), 1),
        ([7, 8, 4, 1, 2, 3], (0, 1), 4),
        ([7, 6, 9, 1, 2, 3], (0, 4), 3),
        ([5, 8, 9, 1, 2, 3], (3,), 2),
        ([4, 8, 9, 1, 2, 3], (), 4),
    ],
)
def test_greedy_follows_the_targets_own_choices(decided, path, bonus):
    verdict = verify_greedy(TREE, decided)
    assert (verdict.path, verdict.bonus) == (path, bonus)


def test_nothing_drafted_yields_the_bonus():
    nothing = Draft((), (), ())
    assert verify_greedy(nothing, [4]).bonus == 4
    law = exact_law(lambda choose: verify_sampled(nothing, law_of([1, 3])[None], choose).bonus)
    assert law == {0: 0.25, 1: 0.75}


def test_where_processors_exclude_every_token_none_is_chosen():
    nothing = torch.full((1, 3), float("-inf")).softmax(-1)
    assert verify_sampled(Draft((), (), ()), nothing, lambda p: 0).bonus == NO_TOKEN


@pytest.mark.parametrize("impossible", [0, 1, 2])
def test_where_processors_exclude_every_token_after_a_drafted_one_none_is_chosen(impossible):
    """Tokens 0 and 1 are drafted; the rows before the impossible one are certain of them."""
    scores = torch.full((3, 3), float("-inf"))
    scores.fill_diagonal_(0.0)
    scores[impossible] = float("-inf")
    verdict = verify_sampled(Draft((0, 1), (-1, 0), ()), scores.softmax(-1), likeliest)
    assert (verdict.path, verdict.bonus) == (tuple(range(impossible)), NO_TOKEN)


def likeliest(p):
    return int(p.argmax())


@pytest.mark.parametrize(
    ("weights", "path"), [([3, 1, 2, 0], (0,)), ([0, 0, 0, 1], ())], ids=["certain", "impossible"]
)
def test_only_the_bonus_is_drawn_if_acceptance_is_certain(weights, path):
    """Every draw uses a random number and waits for the device."""
    drawn = []
    draft = Draft((2,), (-1,), (), {-1: law_of([3, 1, 2, 0])})
    rows = torch.stack([law_of(weights)] * 2)
    verdict = verify_sampled(draft, rows, lambda p: drawn.append(p) or likeliest(p))
    assert (verdict.path, len(drawn)) == (path, 1)
