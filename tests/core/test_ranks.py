"""What ranks of a tensor-parallel model agree on; real processes are in tests/doors."""

import pytest
import torch
from doubles.tiny import Tiny, tiny_executor

from specframe.core import ranks
from specframe.core.engine import Engine, Limits
from specframe.core.ranks import Ranks, ranks_of, together
from specframe.core.sampling import Law
from specframe.errors import InvalidRequest, RanksParted
from specframe.strategies.fixed import FixedSkips
from specframe.types import SkipSet, StopRule

PROMPT = [5, 9, 20, 7]
STRATEGY = FixedSkips(SkipSet.from_sublayers(2, [1, 2]), StopRule(3))


class TwoRanks(Ranks):
    """One of two ranks; the other one sends `sent`, or the same values."""

    def __init__(self, monkeypatch, sent=None):
        self._device, self.count = torch.device("cpu"), 2

        def all_gather(found, own):
            found[0].copy_(own)
            found[1].copy_(own if sent is None else torch.tensor([sent]))

        monkeypatch.setattr(ranks.dist, "all_gather", all_gather)


class Following(Ranks):
    """The second rank; the first one is slower and ends the text after `last` tokens."""

    def __init__(self, last):
        self._left, self.agreed = last, []

    def agree(self, *what):
        self.agreed.append(what)

    def from_first(self, *numbers):
        if len(numbers) == 3:
            return 1.0, 2.0, 3.0
        count = min(int(numbers[0]), self._left)
        self._left -= count
        return count, self._left == 0


def test_ranks_that_differ_raise_at_once(monkeypatch):
    TwoRanks(monkeypatch).agree("plan", [1, 2])
    with pytest.raises(RanksParted, match="2 ranks no longer do the same"):
        TwoRanks(monkeypatch, 7).agree("plan", [1, 2])


def test_numbers_and_seeds_are_those_of_the_first_rank(monkeypatch):
    monkeypatch.setattr(ranks.dist, "broadcast", lambda shared, source: shared.fill_(12.0 + source))
    assert TwoRanks(monkeypatch).from_first(1.0, 2.0) == (12.0, 12.0)
    assert TwoRanks(monkeypatch).seed() == 12


@pytest.mark.parametrize(("rank", "found"), [(0, "own"), (1, "the first one's")])
def test_only_the_first_rank_computes_what_all_ranks_get(monkeypatch, rank, found):
    def broadcast(shared, source, device):
        assert (source, device.type) == (0, "cpu")
        if rank:
            shared[0] = "the first one's"

    calls = []
    monkeypatch.setattr(ranks.dist, "get_rank", lambda: rank)
    monkeypatch.setattr(ranks.dist, "broadcast_object_list", broadcast)
    assert TwoRanks(monkeypatch).value_of_first(lambda: calls.append(1) or "own") == found
    assert len(calls) == (rank == 0)


def test_only_errors_of_the_connection_are_reported_as_such():
    def rounds(error):
        yield 1
        raise error

    with pytest.raises(RanksParted, match="Connection closed by peer"):
        list(together(rounds(RuntimeError("[gloo] Connection closed by peer"))))
    with pytest.raises(RuntimeError, match="shapes"):
        list(together(rounds(RuntimeError("shapes differ"))))
    with pytest.raises(InvalidRequest):
        list(together(rounds(InvalidRequest("no connection"))))


def test_a_model_of_one_process_has_no_ranks():
    assert ranks_of(torch.nn.Linear(2, 2), torch.device("cpu")) is None


def test_all_ranks_use_the_times_and_the_end_of_the_first_one():
    executor = tiny_executor(Tiny())
    alone = Engine(executor, STRATEGY, Law(), Limits(20))
    expected = [token for done in alone.rounds(PROMPT) for token in done.tokens]
    following = Following(last=7)
    shared = Engine(executor, STRATEGY, Law(), Limits(20), ranks=following)
    rounds = list(shared.rounds(PROMPT))
    assert [token for done in rounds for token in done.tokens] == expected[:7]
    outcomes = [done.outcome for done in rounds if done.outcome]
    assert {(one.draft_seconds, one.verify_seconds) for one in outcomes} == {(2.0, 3.0)}
    assert all(1.0 <= one.select_seconds < 2.0 for one in outcomes)
    compared = [tokens for _, tokens in following.agreed]
    assert len(compared) == len(outcomes)
    assert compared[0][:5] == [*PROMPT, expected[0]]
