"""Counts of the suffix tree, against counting by hand."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from specframe.strategies.shared.suffixes import SuffixTree, Text, most_followed

DEPTH = 5
TOKENS = st.lists(st.integers(0, 2), max_size=14)
PIECES = st.lists(st.tuples(st.integers(0, 2), TOKENS), max_size=6)  # of three texts, in turns


def grown(pieces, depth=DEPTH):
    """A tree and its texts, which grew piece by piece in turns."""
    tree, texts = SuffixTree(depth), [Text() for _ in range(3)]
    for number, tokens in pieces:
        tree.extend(texts[number], tokens)
    return tree, texts


def counted(texts, depth=DEPTH):
    """Every run of up to `depth` tokens, with how often it occurs."""
    return Counter(
        tuple(tokens[start : start + size])
        for tokens in texts
        for size in range(1, depth + 1)
        for start in range(len(tokens) - size + 1)
    )


def require_counts(tree, tokens_of_texts):
    counts = counted(tokens_of_texts)
    for run, count in counts.items():
        assert tree.count(run) == count
        for other in range(3):  # runs that are one token longer, whether they occur or not
            if len(run) < DEPTH:
                assert tree.count((*run, other)) == counts[*run, other]
    for token in range(3):
        assert tree.count((token,)) == counts[token,]


@given(PIECES)
def test_counts_are_those_of_counting(pieces):
    tree, texts = grown(pieces)
    require_counts(tree, [text.tokens for text in texts])


@given(PIECES, st.permutations(range(3)), TOKENS)
def test_what_is_removed_was_never_there(pieces, order, more):
    tree, texts = grown(pieces)
    for gone, number in enumerate(order, start=1):
        tree.remove(texts[number])
        left = [texts[other] for other in order[gone:]]
        for text in left[:1]:
            tree.extend(text, more)
        require_counts(tree, [text.tokens for text in left])


@given(PIECES)
def test_what_follows_most_is_what_counting_finds(pieces):
    tree, texts = grown(pieces)
    counts = counted([text.tokens for text in texts])
    for run, occurred in counts.items():
        if len(run) == DEPTH:
            continue
        place = tree.find(run)
        after = {token: counts[*run, token] for token in range(3) if counts[*run, token]}
        found = most_followed(place)
        if not after:
            assert found is None
            continue
        assert found.times == after[found.token] == max(after.values())
        assert (found.occurred, found.continued) == (
            (occurred, sum(after.values())) if occurred > 1 else (1, 1)
        )
        assert most_followed(found.place) == most_followed(tree.find((*run, found.token)))


def test_runs_longer_than_the_depth_are_unknown():
    tree, _ = grown([(0, [1, 2, 1, 2, 1])], depth=2)
    assert (tree.count((1, 2)), tree.count((2, 1))) == (2, 2)
    assert tree.count((1, 2, 1)) == 0


def test_memory_grows_with_the_text_and_not_with_the_depth():
    tree, text = SuffixTree(64), Text()
    tree.extend(text, range(1_000))  # no token comes twice
    assert len(tree._root.after) == 1_000
    assert not text.open
